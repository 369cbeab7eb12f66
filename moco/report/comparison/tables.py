"""The tables of a comparison as HTML."""

from __future__ import annotations

from urllib.parse import quote

from moco.comparison.rank_tests import OPPOSITE, Verdict
from moco.report.comparison.text import TITLES, number, short_seconds
from moco.report.document import Html, element, join, note, row
from moco.report.formatting import NOT_AVAILABLE
from moco.report.tables import definitions, table
from moco.run_folder.comparison_record import ComparisonRecord, MeasureTests, MomentsRecord, RunRecord, StrategySummary

_CLASSES = {Verdict.BETTER: "better", Verdict.WORSE: "worse"}


def verdict_matrix(content: ComparisonRecord, tests: MeasureTests) -> Html:
    """Each strategy (rows) against each other one (columns)."""
    names = list(content.summary)
    verdicts: dict[tuple[str, str], tuple[Verdict, float]] = {}
    for pair in tests.pairs:
        found = Verdict(pair.verdict)
        verdicts[pair.first, pair.second] = found, pair.p_holm
        verdicts[pair.second, pair.first] = OPPOSITE.get(found, found), pair.p_holm
    rows = []
    for name in names:
        cells = join(_verdict_cell(verdicts.get((name, other))) for other in names)
        rows.append(element("tr", element("th", name, scope="row"), cells))
    return table(["", *names], rows, f"Verdicts by {TITLES[tests.quantity]}", "verdicts")


def summary_table(content: ComparisonRecord) -> Html:
    """A row a strategy: medians over its seeds."""
    quantities = [q for q in TITLES if f"{q}_at_equal_trials" in content.tests]
    head = ["strategy", *quantities, "first feasible", "beyond the start", "think", "distinct", "charged"]
    rows = []
    for name, entry in content.summary.items():
        measured = [_at_both(entry, quantity) for quantity in quantities]
        moments = [_moment(found, entry.seeds) for found in (entry.first_feasible, entry.beyond_start)]
        texts = [_thinking(entry), number(entry.distinct), short_seconds(entry.charged_s)]
        rows.append(row(name, *measured, *moments, *texts))
    return table(head, rows, "Strategies, medians over seeds", "wide")


def pairs_table(tests: MeasureTests) -> Html:
    """Every two strategies with their test and effect sizes."""
    head = ["pair", "verdict", "wins, ties, losses", "median difference", "p", "p (Holm)", "A12", "rank-biserial"]
    rows = [
        row(
            f"{pair.first} against {pair.second}",
            pair.verdict,
            f"{pair.wins}, {pair.ties}, {pair.losses}",
            number(pair.median_difference),
            *(f"{value:.3g}" for value in (pair.p, pair.p_holm)),
            *(f"{value:.2f}" for value in (pair.a12, pair.rank_biserial)),
        )
        for pair in tests.pairs
    ]
    return table(head, rows, "Pairs of strategies", "small")


def friedman_table(tests: MeasureTests) -> Html:
    """Friedman's test over all strategies, with their mean ranks."""
    found = tests.friedman
    if found is None:
        return note("Friedman's test needs three strategies and two seeds that all have.")
    ranks = sorted(found.mean_ranks.items(), key=lambda entry: entry[1])
    facts = {
        "Friedman": f"chi-square {found.statistic:.3g}, p = {found.p:.3g}, over {found.seeds} seeds",
        "Agreement": f"Kendall's W = {found.agreement:.2f} (1: all seeds order the strategies alike)",
        "Mean ranks": ", ".join(f"{name} {rank:.2f}" for name, rank in ranks),
    }
    return definitions(facts)


def runs_table(content: ComparisonRecord) -> Html:
    """Every run of the comparison."""
    quantities = [q for q in TITLES if f"{q}_at_equal_trials" in content.tests]
    head = [
        "run", "state", *(TITLES[q] for q in quantities),
        "trials", "distinct", "from the store", "feasible", "rejected", "failed", "charged", "really spent",
    ]  # fmt: skip
    rows = [
        row(
            _link(run),
            run.state,
            *(number(run.values.get(quantity)) for quantity in quantities),
            *map(str, (run.trials, run.distinct, run.stored, run.feasible, run.rejected, run.failed)),
            *map(short_seconds, (run.charged_s, run.spent_s)),
        )
        for run in content.runs
    ]
    return table(head, rows, "All runs", "wide small")


def _link(run: RunRecord) -> Html:
    """The run's name, leading to its trials."""
    trials = quote(f"runs/{run.searcher}/seed{run.seed}/trials.csv")
    return element("a", f"{run.searcher}, seed {run.seed}", href=trials)


def _verdict_cell(found: tuple[Verdict, float] | None) -> Html:
    if found is None:
        return element("td", "·")
    verdict, p = found
    return element("td", element("span", verdict.value), element("small", f"p = {p:.2g}"), class_=_CLASSES.get(verdict))


def _at_both(entry: StrategySummary, quantity: str) -> Html:
    """A median after equal trials, and under it the one at equal time."""
    trials, seconds = (number(entry.medians.get(f"{quantity}_at_equal_{axis}")) for axis in ("trials", "seconds"))
    return join([element("span", trials), element("small", f"{seconds} at equal time")])


def _moment(found: MomentsRecord, seeds: int) -> Html:
    share = f"{found.seeds} of {seeds} seeds"
    if found.trials is None:
        return join([element("span", "never" if not found.seeds else "rarely"), element("small", share)])
    when = f"trial {found.trials:g}, {short_seconds(found.seconds)}"
    return join([element("span", when), element("small", share)])


def _thinking(entry: StrategySummary) -> str:
    found = entry.suggestion_s
    if found is None:
        return NOT_AVAILABLE
    return join([element("span", short_seconds(found.median)), element("small", f"p90 {short_seconds(found.p90)}")])
