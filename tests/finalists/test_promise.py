"""The law by which the error after a training is forecast."""

from __future__ import annotations

import pytest

from moco.finalists.promise import Promise, Score, Untrained

REFERENCE = 0.064


def without_blocks(count: int, error: float | None = None) -> Untrained:
    """ResNet-56 without so many of its 27 blocks, in int8."""
    kept = 27 / (27 - count)
    return Untrained(REFERENCE + 0.013 * count if error is None else error, (kept, kept, 1.0))


def test_what_is_expected_before_anything_was_trained_is_what_was_measured_elsewhere() -> None:
    # ResNet-56 on CIFAR-10, distilled for as long as 7 epochs of 625 steps of 32 images: 10 of 27 blocks left out lose
    # 1.2 points, 9 lose 1.1, as measured by hand. The prior must have them within its doubt.
    for count, lost in ((10, 0.012), (9, 0.011), (12, 0.0156), (15, 0.0281)):
        forecast = Promise(REFERENCE).forecast(without_blocks(count), 4375)
        assert abs(forecast.error - REFERENCE - lost) < min(forecast.sd, 0.006)


def test_networks_that_hardly_err_are_forecast_by_the_same_numbers() -> None:
    # The demo's network of a quarter of its size: untrained and after so many steps, as measured (seeds 0, 1 and 5).
    for reference, untrained, steps, measured in (
        (0.003, 0.65, 632, 0.003),
        (0.007, 0.741, 555, 0.007),
        (0.003, 0.576, 461, 0.013),
    ):
        forecast = Promise(reference).forecast(Untrained(untrained, (3.98, 3.96, 1.0)), steps)
        assert abs(forecast.error - measured) < 2 * forecast.sd
        assert forecast.error - reference < 0.02


def test_more_training_and_more_capacity_promise_less_error() -> None:
    promise = Promise(REFERENCE)
    by_steps = [promise.forecast(without_blocks(10), steps).error for steps in (0, 50, 200, 1000)]
    assert by_steps == sorted(by_steps, reverse=True)
    assert by_steps[0] == pytest.approx(REFERENCE + 0.13)
    by_blocks = [promise.forecast(without_blocks(count), 200).error for count in (0, 3, 9, 15)]
    assert by_blocks == sorted(by_blocks)
    assert by_blocks[0] == pytest.approx(REFERENCE)


def test_scores_move_the_law_for_all_networks_and_make_it_surer() -> None:
    bad = Score(without_blocks(10), 100, 0.13, 0.004)
    good = Score(without_blocks(10), 100, 0.075, 0.004)
    before, after = Promise(REFERENCE), {score.error: Promise(REFERENCE, [score]) for score in (bad, good)}
    other = without_blocks(12)
    plain = before.forecast(other, 400)
    assert after[0.075].forecast(other, 400).error < plain.error < after[0.13].forecast(other, 400).error
    assert after[0.075].forecast(other, 400).sd < plain.sd


def test_a_network_that_was_trained_keeps_what_sets_it_apart() -> None:
    lucky, usual = without_blocks(10), without_blocks(10, error=0.21)
    scores = [Score(lucky, 100, 0.080, 0.001), Score(usual, 100, 0.110, 0.001)]
    promise = Promise(REFERENCE, scores)
    assert promise.forecast(lucky, 100).error == pytest.approx(0.080, abs=0.004)
    assert promise.forecast(lucky, 1000).error < promise.forecast(usual, 1000).error


def test_a_noisy_score_is_not_believed_as_a_sure_one() -> None:
    network, far = without_blocks(6), 0.15
    doubted, believed = (Promise(REFERENCE, [Score(network, 400, far, sem)]) for sem in (0.03, 0.001))
    assert doubted.forecast(network, 400).error < believed.forecast(network, 400).error == pytest.approx(far, rel=0.1)


def test_few_bits_and_a_reference_without_errors_have_a_forecast_too() -> None:
    few = Untrained(0.5, (1.0, 1.0, 4.0))
    assert Promise(0.0).forecast(few, 100).error > 0
    assert Promise(REFERENCE).forecast(few, 10**6).error > REFERENCE * 1.2


def test_a_score_without_errors_promises_no_more_of_them_than_one_with_a_few() -> None:
    network = Untrained(0.65, (3.98, 3.96, 1.0))
    seen = [Promise(0.0033, [Score(network, 600, error, 0.0033)]) for error in (0.0, 0.0033, 0.01)]
    found = [promise.forecast(network, 600).error for promise in seen]
    assert found == sorted(found)
    assert found[0] < 0.8 * Promise(0.0033).forecast(network, 600).error


def test_a_sure_score_leaves_less_doubt() -> None:
    network = without_blocks(8)
    promise, before = Promise(REFERENCE, [Score(network, 300, 0.12, 1e-4)]), Promise(REFERENCE)
    assert promise.forecast(network, 300).error == pytest.approx(0.12, rel=0.01)
    assert promise.forecast(network, 300).sd < 0.8 * before.forecast(network, 300).sd


def test_the_less_of_its_way_is_left_the_more_a_score_tells_of_the_end() -> None:
    network, end = without_blocks(8), 10**5
    expected = {steps: Promise(REFERENCE).forecast(network, steps).error for steps in (100, 5000)}
    found = {
        steps: Promise(REFERENCE, [Score(network, steps, 1.2 * error, 1e-4)]).forecast(network, end)
        for steps, error in expected.items()
    }
    assert found[5000].error > found[100].error > Promise(REFERENCE).forecast(network, end).error
