"""What decided the score of a search: its parameters by importance, on the page and in the words of the console."""

from __future__ import annotations

from moco.comparison.importance import BETTER_SHARE, CONSTANT, Importance, ParameterImportance
from moco.report.correlation_text import with_interval
from moco.report.document import Html, details, note, row, section
from moco.report.formatting import NOT_AVAILABLE
from moco.report.tables import table

IMPORTANCE_HEAD = ("parameter", "importance", "correlation with the score")
TITLE = "What decided the score"

_SHOWN = 12  # parameters; the others are folded away
_NOTE = (
    f"Importance (PED-ANOVA): how far the values of a parameter in the better {BETTER_SHARE:.0%} of {{trials}} "
    "networks differ from those in all of them, as a share of the sum over the parameters. It is of the score, and of "
    "what this search tried: a searcher that keeps to one value hides what others would do. The correlation is "
    "Spearman's, with its 95 % interval: above zero, larger values had better scores. Networks that miss a bound count "
    "below all others, by how far they miss it. Finalists are left out, because their training made them better."
)


def importance_section(found: Importance) -> Html:
    """The parameters of the search, the most important first, or why none can be told."""
    if (absence := importance_absence(found)) is not None:
        return section("importance", TITLE, note(absence))
    shown, folded = (_table(found.parameters[part]) for part in (slice(_SHOWN), slice(_SHOWN, None)))
    count = len(found.parameters) - _SHOWN
    more = details(f"{count} more parameters", folded) if count > 0 else Html("")
    absent = importance_note(found)
    notes = [*([] if absent is None else [note(absent)]), note(_NOTE.format(trials=found.trials))]
    return section("importance", TITLE, shown, more, *notes)


def importance_absence(found: Importance) -> str | None:
    """Why there is nothing to show; None where there is."""
    return None if found.reason is None else f"Importance of the parameters: {NOT_AVAILABLE}, {found.reason}."


def importance_note(found: Importance) -> str | None:
    """Why no parameter that varies has a share, once for all; None where some have."""
    reason = _shared(found.parameters)
    return None if reason is None else f"No importance: {reason}."


def importance_rows(parameters: tuple[ParameterImportance, ...]) -> list[tuple[str, str, str]]:
    """A row a parameter, in the columns of `IMPORTANCE_HEAD`."""
    shared = _shared(parameters)
    return [(one.name, _share(one, shared), with_interval(one.correlation)) for one in parameters]


def _table(parameters: tuple[ParameterImportance, ...]) -> Html:
    return table(IMPORTANCE_HEAD, [row(*cells) for cells in importance_rows(parameters)], "Parameters by importance")


def _shared(parameters: tuple[ParameterImportance, ...]) -> str | None:
    """The reason why none of the parameters that vary has a share."""
    varying = {one.reason for one in parameters if one.reason != CONSTANT}
    return varying.pop() if len(varying) == 1 else None


def _share(one: ParameterImportance, shared: str | None) -> str:
    if one.share is not None:
        return f"{100 * one.share:.1f} %"
    return NOT_AVAILABLE if one.reason == shared else f"{NOT_AVAILABLE} ({one.reason})"
