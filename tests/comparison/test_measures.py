"""What a comparison measures of its runs, and what it says of each two strategies."""

from __future__ import annotations

import math

import pytest

from moco.comparison.measures import HYPERVOLUME, MEASURES, SCORE, SECONDS, TRIALS, Comparison
from moco.comparison.rank_tests import finite
from moco.run_folder.comparison_record import Measure
from moco.trial import Trial
from tests.comparison.made_runs import trial

SCORE_TRIALS, SCORE_SECONDS = Measure(SCORE, TRIALS), Measure(SCORE, SECONDS)


def run(*losses: float, search_s: float = 0.1) -> list[Trial]:
    """Two equal losses a trial."""
    return [trial(number, (loss, loss), search_s=search_s) for number, loss in enumerate(losses)]


def rising(gain: float, seeds: int) -> dict[int, list[Trial]]:
    """Runs of two trials that end at a loss of 0.5 less the gain, and less yet for each seed."""
    return {seed: run(0.9, 0.5 - gain - 0.01 * seed) for seed in range(seeds)}


def test_the_numbers_of_each_run_at_equal_trials_and_at_equal_time() -> None:
    comparison = Comparison.of({"slow": {0: run(0.9, 0.2, search_s=2.0)}, "quick": {0: run(0.9, 0.6, 0.5)}}, (1, 1))
    assert comparison.equal_trials == 3
    assert comparison.equal_seconds == pytest.approx(3.3), "slow takes 6 s, quick 3.3"
    assert comparison.values(SCORE_TRIALS) == {"slow": {0: -0.4}, "quick": {0: -1.0}}
    assert comparison.values(SCORE_SECONDS) == {"slow": {0: -1.8}, "quick": {0: -1.0}}
    volumes = comparison.values(Measure(HYPERVOLUME, TRIALS))
    assert (volumes["slow"][0], volumes["quick"][0]) == (pytest.approx(0.64), pytest.approx(0.25))


def test_a_run_whose_space_was_exhausted_keeps_its_last_value() -> None:
    comparison = Comparison.of({"short": {0: run(0.4)}, "long": {0: run(0.9, 0.8, 0.7)}}, (1, 1))
    assert comparison.values(SCORE_TRIALS) == {"short": {0: -0.8}, "long": {0: -1.4}}


def test_a_clear_winner_is_better_and_the_loser_worse() -> None:
    comparison = Comparison.of({"good": rising(0.2, 8), "bad": rising(0.0, 8)}, (1, 1))
    assert comparison.verdict("good", "bad") == "better"
    assert comparison.verdict("bad", "good") == "worse"
    assert comparison.verdict("bad", "good", Measure(HYPERVOLUME, TRIALS)) == "worse"
    with pytest.raises(KeyError):
        comparison.verdict("good", "ugly")


def test_three_seeds_cannot_tell_even_the_clearest() -> None:
    comparison = Comparison.of({"good": rising(0.2, 3), "bad": rising(0.0, 3)}, (1, 1))
    assert comparison.verdict("good", "bad") == comparison.verdict("bad", "good") == "cannot tell"


def test_friedmans_test_takes_the_seeds_that_all_have() -> None:
    comparison = Comparison.of({"a": rising(0.2, 5), "b": rising(0.1, 4), "c": rising(0.0, 5)}, (1, 1))
    found = comparison.friedman(SCORE_TRIALS)
    assert found is not None
    assert (found.seeds, list(found.mean_ranks.values())) == (4, [1.0, 2.0, 3.0])
    assert [pair.seeds for pair in comparison.pairs(SCORE_TRIALS)] == [4, 5, 4]


def test_strategies_without_a_finished_run_are_left_out() -> None:
    comparison = Comparison.of({"a": rising(0.2, 2), "b": {}}, (1, 1))
    assert list(comparison.runs) == ["a"]
    assert comparison.pairs(SCORE_TRIALS) == []
    assert comparison.friedman(SCORE_TRIALS) is None
    empty = Comparison.of({})
    assert (empty.measures, empty.equal_trials, empty.equal_seconds) == ([], 0, 0.0)
    assert empty.friedman(SCORE_TRIALS) is None


def test_the_hypervolume_needs_several_losses() -> None:
    single = {0: [trial(0, (0.5,))]}
    assert Comparison.of({"a": single}).quantities == [SCORE]
    assert Comparison.of({"a": {0: [trial(0, feasible=False)]}}).quantities == [SCORE], "nothing feasible, no point"
    assert Comparison.of({"a": rising(0, 1)}).measures == list(MEASURES)


def test_without_a_point_it_is_the_same_one_for_all() -> None:
    comparison = Comparison.of({"a": {0: run(0.9, 0.5)}, "b": {0: run(0.7, 0.1)}})
    assert comparison.reference_point == pytest.approx((0.98, 0.98))


def test_a_run_without_a_feasible_trial_counts_as_the_worst() -> None:
    lost = {seed: [trial(0, (0.1, 0.1), feasible=False)] for seed in range(6)}
    comparison = Comparison.of({"lost": lost, "found": rising(0.0, 6)}, (1, 1))
    assert comparison.values(SCORE_TRIALS)["lost"][0] == -math.inf
    assert comparison.verdict("lost", "found") == "worse"
    assert comparison.median(SCORE_TRIALS, "lost") == -math.inf
    both = Comparison.of({"lost": lost, "too": lost}, (1, 1))
    assert both.verdict("lost", "too") == "cannot tell"


def test_json_has_no_infinity() -> None:
    assert (finite(-math.inf), finite(math.nan), finite(None), finite(0.0)) == (None, None, None, 0.0)
