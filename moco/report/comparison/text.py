"""What came of a comparison of searchers, in plain sentences: the same on the page and the console."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from moco.comparison.rank_tests import Verdict
from moco.report.formatting import NOT_AVAILABLE, after_trials, seconds
from moco.run_folder.comparison_record import ComparisonRecord, MeasureTests, PairRecord

TITLES = {"score": "best feasible score", "hypervolume": "hypervolume of the front"}
AXES = {"trials": "trials", "seconds": "charged time"}


@dataclass(frozen=True)
class Summary:
    """The outcome: its tone (`good` where something is shown, `warn` where nothing can be), a sentence, and more."""

    tone: str
    headline: str
    more: tuple[str, ...]


def summary(content: ComparisonRecord) -> Summary:
    """The outcome of a comparison."""
    first = content.tests.get(f"{content.primary}_at_equal_trials")
    if first is None or len(content.summary) < 2:
        return Summary("bad", "Fewer than two strategies have finished a run: there is nothing to compare.", ())
    more = _others(content, first, [tests for tests in by_importance(content) if tests is not first])
    decided = any(pair.verdict != Verdict.CANNOT_TELL for tests in content.tests.values() for pair in tests.pairs)
    more += [*_beyond_start(content), *_thinking(content)]
    return Summary("good" if decided else "warn", _sentence(content, first), tuple(more))


def by_importance(content: ComparisonRecord) -> list[MeasureTests]:
    """The tests of all measures, the primary one at equal trials first."""
    tests = content.tests.values()
    return sorted(tests, key=lambda found: (found.quantity != content.primary, found.axis != "trials"))


def budget_text(content: ComparisonRecord) -> str:
    """The budget of each run."""
    trials, limit = content.budget.trials, content.budget.seconds
    return f"{trials} trials" + (f" or {seconds(limit)} of charged time" if limit is not None else "")


def short_seconds(value: float | None) -> str:
    """A duration that may be far below a second."""
    if value is None:
        return seconds(value)
    return f"{1000 * value:.2g} ms" if value < 0.1 else f"{value:.2f} s" if value < 10 else seconds(value)


def number(value: float | None) -> str:
    """A score, a volume or their like; None as n/a."""
    return NOT_AVAILABLE if value is None else f"{value:.4g}"


def joined(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def standing(pairs: Sequence[PairRecord]) -> dict[str, list[str]]:
    """By strategy, those that it is better than; only where there are any."""
    beaten: dict[str, list[str]] = {}
    for pair in pairs:
        if pair.verdict == Verdict.BETTER:
            beaten.setdefault(pair.first, []).append(pair.second)
        elif pair.verdict == Verdict.WORSE:
            beaten.setdefault(pair.second, []).append(pair.first)
    return dict(sorted(beaten.items(), key=lambda entry: -len(entry[1])))


def _by(content: ComparisonRecord, tests: MeasureTests) -> str:
    after = f" ({short_seconds(content.equal.seconds)})" if tests.axis == "seconds" else ""
    return f"by {TITLES[tests.quantity]} at equal {AXES[tests.axis]}{after}"


def _sentence(content: ComparisonRecord, tests: MeasureTests) -> str:
    """One measure: who is better than whom, or why nothing can be told, and the highest median."""
    start = _by(content, tests).capitalize()
    claims = _claims(tests)
    if claims:
        return f"{start}, {claims}."
    lead = _leader(content, tests)
    fewest = min((pair.seeds for pair in tests.pairs), default=0)
    if fewest < content.seeds_needed:
        return (
            f"{start} one cannot tell which strategy is better: {fewest} seeds of {len(content.searchers)} "
            f"strategies can never show a difference, at least {content.seeds_needed} are needed; {lead}."
        )
    return f"{start} one cannot tell which strategy is better: the differences are within chance; {lead}."


def _others(content: ComparisonRecord, first: MeasureTests, others: Sequence[MeasureTests]) -> list[str]:
    """The other measures, told together where they say the same as the first."""
    same = [entry for entry in others if _claims(entry) and standing(entry.pairs) == standing(first.pairs)]
    texts = [f"The same holds {joined([_by(content, entry) for entry in same])}."] if same else []
    for entry in others:
        start = _by(content, entry).capitalize()
        if entry not in same:
            claims = _claims(entry)
            texts.append(f"{start}, {claims}." if claims else f"{start} one cannot tell; {_leader(content, entry)}.")
    return texts


def _claims(tests: MeasureTests) -> str:
    beaten = standing(tests.pairs)
    return "; ".join(f"{name} is better than {joined(others)}" for name, others in beaten.items())


def _leader(content: ComparisonRecord, tests: MeasureTests) -> str:
    found = {name: entry.medians.get(tests.key) for name, entry in content.summary.items()}
    medians = {name: value for name, value in found.items() if value is not None}
    if not medians:
        return "no strategy has found anything feasible at the median"
    best = max(medians.values())
    leaders = [name for name, value in medians.items() if value == best]
    if len(leaders) == len(medians):
        return f"all have the same median ({best:.4g})"
    return f"the highest median is that of {joined(leaders)} ({best:.4g})"


def _beyond_start(content: ComparisonRecord) -> list[str]:
    """Whether searching was worth it at all: which strategies found something better than the start, and how soon."""
    if content.start == "none":
        return []
    beyond = {name: (entry.beyond_start, entry.seeds) for name, entry in content.summary.items()}
    always = [name for name, (found, seeds) in beyond.items() if found.seeds == seeds]
    never = [name for name, (found, _) in beyond.items() if not found.seeds]
    rest = {name: pair for name, pair in beyond.items() if name not in always and name not in never}
    texts = [f"{joined(always)} in all seeds"] if always else []
    texts += [f"{name} in {found.seeds} of {seeds}" for name, (found, seeds) in rest.items()]
    texts += [f"{joined(never)} in none"] if never else []
    text = f"A better feasible score than the start's was found by {'; '.join(texts)}"
    soon = {name: found.trials for name, (found, _) in beyond.items() if found.trials is not None}
    if soon:
        first = min(soon, key=soon.__getitem__)
        text += f". Soonest by {first}, {after_trials(soon[first])} at the median"
    return [f"{text}."]


def _thinking(content: ComparisonRecord) -> list[str]:
    found = {name: entry.suggestion_s for name, entry in content.summary.items()}
    medians = {name: seconds.median for name, seconds in found.items() if seconds is not None}
    if not medians:
        return []
    ends = min(medians, key=medians.__getitem__), max(medians, key=medians.__getitem__)
    quick, slow = (f"{short_seconds(medians[name])} ({name})" for name in ends)
    spent = [entry.evaluation_s for entry in content.summary.values() if entry.evaluation_s is not None]
    beside = f", an evaluation {short_seconds(median(spent))}" if spent else ""
    return [f"A suggestion took from {quick} to {slow} at the median{beside}."]
