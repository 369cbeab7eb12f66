"""What `moco profile` has measured, as rows of tables and as a page: profile.html, complete in itself."""

from __future__ import annotations

from collections.abc import Iterator

from moco.metrics import COLUMNS, ERRORS, FILE_SIZE, LATENCY, METRICS, Group, decimal, shown
from moco.report.document import Html, details, document, element, join, note, row, section, warnings_section
from moco.report.formatting import NOT_AVAILABLE, shown_ratio
from moco.report.tables import definitions, table
from moco.run_folder.profile import Profile, RuntimeComparison

Found = Profile | RuntimeComparison
HEAD = ("metric", "value", "standard error", "cost ratio to the reference")
LAYERS_HEAD = ("operator", "kind", "time", "share")
TITLES = {
    Group.PREDICTIVE: "How well it predicts",
    Group.INDIRECT: "Counted of the network",
    Group.DIRECT: "Read from the device",
    Group.COMBINED: "Combined by the objective",
}


def profile_rows(profile: Profile, group: Group | None = None) -> list[tuple[str, ...]]:
    """The cells under `HEAD`, a metric a row, those of one group alone where one is given; n/a where not measured."""
    return [
        (name, *_numbers(profile, name)) for name, metric in METRICS.items() if group is None or metric.group is group
    ]


def side_head(found: RuntimeComparison) -> tuple[str, ...]:
    """The metric, and a column a runtime."""
    return ("metric", *(profile.runtime for profile in found.profiles))


def side_rows(found: RuntimeComparison) -> list[tuple[str, ...]]:
    """The cells under `side_head`: what was timed in turn with its ratio to the first runtime, then what differs."""
    timed = [(name, *_beside(found, name)) for name in found.measurements]
    scored = [(name, *(_shown(profile, name) for profile in found.profiles)) for name in (*ERRORS, *_of_its_own(found))]
    return [*timed, *scored]


def tails_text(profile: Profile) -> str:
    """What the slow calls were, in a sentence; empty where none were looked at."""
    tails = profile.tails
    if tails is None:
        return ""
    text = f"latency's quantiles: {tails.calls:,} calls of each network on the wall clock, medians of its slots"
    if tails.missed is None:
        return text
    reference, network = (f"{100 * share:.3g} %" for share in tails.missed)
    return f"{text}; over {tails.deadline_ms:g} ms took {network} of its calls, {reference} of the reference's"


def layers_text(profile: Profile) -> str:
    """The sum over operators beside the latency from end to end; empty where no layers were asked for."""
    if profile.layers is None or profile.layers_ms is None:
        return ""
    whole = _shown(profile, LATENCY)
    return f"{len(profile.layers)} operators take {decimal(profile.layers_ms, 3)} ms; the whole call takes {whole}"


def layer_rows(profile: Profile) -> list[tuple[str, ...]]:
    """The cells under `LAYERS_HEAD`, in the order in which the operators run."""
    layers, total_ms = profile.layers or (), profile.layers_ms or 0.0
    return [
        (layer.name, layer.kind, f"{decimal(layer.time_ms, 3)} ms", f"{100 * layer.time_ms / total_ms:.1f} %")
        for layer in layers
        if total_ms > 0
    ]


def profiles_of(found: Found) -> tuple[Profile, ...]:
    """One, or one a runtime."""
    return found.profiles if isinstance(found, RuntimeComparison) else (found,)


def profile_line(found: Found) -> str:
    """The main metrics in one line, of those that were measured."""
    profiles = profiles_of(found)
    return "; ".join(_line(profile, named=len(profiles) > 1) for profile in profiles)


def profile_page(found: Found) -> str:
    """The whole page: three tables by group with what each metric is, slow calls and layers, or runtimes in turn."""
    profiles = profiles_of(found)
    parts = [*_side_by_side(found)] if isinstance(found, RuntimeComparison) else []
    for profile in profiles:
        parts += _sections(profile, f" on {profile.runtime}" if len(profiles) > 1 else "")
    header = element("header", element("h1", profiles[0].name), definitions(_facts(profiles[0])))
    return document(f"{profiles[0].name}: profile", header, element("main", join(parts), style="padding-top: 1.8rem"))


def _side_by_side(found: RuntimeComparison) -> Iterator[Html]:
    rows = [row(*cells) for cells in side_rows(found)]
    turns, shorter = "", ""
    if found.measurements:
        turns = ", timed in turn; ratios are to the first"
        shorter = "; times of below 1x are shorter than the first's"
    yield warnings_section(found.warnings)
    yield section(
        "runtimes",
        "Side by side",
        table(side_head(found), rows, f"One network on each runtime{turns}"),
        note(f"Each runtime scores, times and would ship its own file{shorter}."),
        *map(note, found.notes),
    )


def _sections(profile: Profile, where: str) -> Iterator[Html]:
    for group, title in TITLES.items():
        rows = [row(*cells) for cells in profile_rows(profile, group)]
        meanings = {name: _meaning(profile, name) for name, *_ in profile_rows(profile, group)}
        found = table(HEAD, rows, title + where), details("What they are", definitions(meanings))
        yield section(f"{group}{where.replace(' ', '-')}", title + where, *found)
    if text := tails_text(profile):
        yield note(text[0].upper() + text[1:] + ".")
    if layer_rows(profile):
        rows = [row(*cells) for cells in layer_rows(profile)]
        caption = "Operators" + where
        yield section(
            f"layers{where.replace(' ', '-')}",
            caption,
            table(LAYERS_HEAD, rows, caption),
            note(layers_text(profile) + "."),
        )


def _facts(profile: Profile) -> dict[str, str]:
    """What the numbers depend on."""
    told = {name: value for name, value in profile.target.items() if isinstance(value, str | int | float)}
    return {name.replace("_", " "): str(value) for name, value in told.items()}


def _meaning(profile: Profile, name: str) -> str:
    """What the metric is, and why it was not measured where it was asked for in vain."""
    why = profile.unmeasured.get(name)
    return METRICS[name].description + (f"; not measured: {why}" if why else "")


def _numbers(profile: Profile, name: str) -> Iterator[str]:
    value, ratio = profile.metrics.get(name), profile.ratio(name)
    for number in (value.value, value.sem) if value is not None else (None, None):
        yield shown(name, number)
    yield NOT_AVAILABLE if ratio is None else decimal(ratio, 3)


def _shown(profile: Profile, name: str) -> str:
    return shown(name, profile.metrics[name].value) if name in profile.metrics else NOT_AVAILABLE


def _beside(found: RuntimeComparison, name: str) -> Iterator[str]:
    for place in range(len(found.profiles)):
        value = shown(name, found.value(name, place))
        if place == 0:
            yield value
        else:
            ratio = found.ratio(name, place)
            yield f"{value} ({shown_ratio(ratio.value)} the time, {decimal(ratio.low, 2)} to {decimal(ratio.high, 2)})"


def _of_its_own(found: RuntimeComparison) -> list[str]:
    """Metrics that each runtime has measured by itself, beside another reference; those that none has are left out."""
    known = {name for profile in found.profiles for name in profile.metrics}
    return [
        name
        for name, metric in METRICS.items()
        if name in known - {*ERRORS, *found.measurements} and (metric.timed or name == FILE_SIZE)
    ]


def _line(profile: Profile, *, named: bool) -> str:
    measured = (f"{name} {shown(name, profile.metrics[name].value)}" for name in COLUMNS if name in profile.metrics)
    return f"{profile.name}{f' on {profile.runtime}' if named else ''}: {', '.join(measured)}"
