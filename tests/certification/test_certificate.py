"""The certificate's statistics: published examples, exact coverage, and simulated searches (W01, W02)."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from math import exp, fsum, lgamma, log, log1p

import numpy as np
import pytest
from scipy.stats import beta, binom

from moco.certification.certificate import Floor, certify, check_possible, equal_shares
from moco.certification.confidence_bounds import (
    absolute_lower_bound,
    bound_of_counts,
    paired_lower_bound,
    paired_sem,
    required_images,
)
from moco.constraints import Constraint, parse
from moco.errors import ConfigError, DataError


def pair(lost: int, gained: int, images: int, both_right: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Answers of a reference and a candidate with these counts."""
    right = images - lost - gained if both_right is None else both_right
    reference, candidate = np.zeros((2, images), dtype=bool)
    reference[: right + lost] = True
    candidate[:right] = True
    candidate[right + lost : right + lost + gained] = True
    return reference, candidate


@pytest.mark.parametrize(
    ("lost", "gained", "images", "lower", "upper"),
    [
        # Tango 1998, section 6.2: Karacan's sleeping difficulties, 32 pairs, 9 and 3 discordant.
        (3, 9, 32, -0.027, 0.390),
        # Fagerland, Lydersen and Laake 2014: Bentur's airway reactivity before and after transplantation, 21 pairs.
        (7, 1, 21, -0.517, -0.026),
    ],
)
def test_tango_bounds_equal_published_intervals(
    lost: int, gained: int, images: int, lower: float, upper: float
) -> None:
    below = bound_of_counts(lost, gained, images, confidence=0.975).lower
    above = -bound_of_counts(gained, lost, images, confidence=0.975).lower
    assert (below, above) == pytest.approx((lower, upper), abs=0.0005)


def test_the_bound_comes_from_the_images_that_the_networks_disagree_on() -> None:
    reference, candidate = pair(lost=30, gained=10, images=1000)
    bound = paired_lower_bound(reference, candidate, 0.95)
    assert (bound.lost, bound.gained) == (30, 10)
    assert bound.difference == pytest.approx(-0.02)
    assert bound == paired_lower_bound(*pair(30, 10, 1000, both_right=5), 0.95)
    assert bound.lower < -0.02 < -bound_of_counts(10, 30, 1000, 0.95).lower < 0


def test_an_untouched_network_is_not_certified_as_exactly_equal() -> None:
    bound = bound_of_counts(0, 0, 4000, 0.95)
    assert bound.lower == pytest.approx(-(1 - 0.05 ** (1 / 4000)))
    assert bound.lower == pytest.approx(-3.0 / 4000, rel=0.01)


@pytest.mark.parametrize("images", [1, 50, 4000])
def test_bounds_stay_within_what_is_possible(images: int) -> None:
    assert bound_of_counts(images, 0, images, 0.95).lower == -1.0
    assert -1 <= bound_of_counts(0, images, images, 0.95).lower <= 1


def test_the_lower_bound_falls_with_every_lost_image_and_rises_with_every_gained_one() -> None:
    by_lost = [bound_of_counts(lost, 20, 1000, 0.95).lower for lost in range(60)]
    by_gained = [bound_of_counts(20, gained, 1000, 0.95).lower for gained in range(60)]
    from_nothing = [bound_of_counts(lost, 0, 400, 0.95).lower for lost in range(10)]
    assert (np.diff(by_lost) < 0).all()
    assert (np.diff(by_gained) > 0).all()
    assert (np.diff(from_nothing) < 0).all()


def exact_coverage(images: int, difference: float, discordance: float, confidence: float) -> float:
    """Probability, summed over all outcomes, that the bound is at or below a true difference of -`difference`."""
    p_lost, p_gained = (discordance + difference) / 2, (discordance - difference) / 2
    total = covered = 0.0
    for gained in _likely(images, p_gained):
        p = binom.pmf(gained, images, p_gained)
        lowest = _first_covering(gained, images, difference, confidence)
        lost = _likely(images, p_lost)
        p_of_lost = binom.pmf(lost, images - gained, p_lost / (1 - p_gained))
        total += p * p_of_lost.sum()
        covered += p * p_of_lost[lost >= lowest].sum()
    return covered / total


def _likely(images: int, p: float) -> np.ndarray:
    spread = 5 * math.sqrt(images * p) + 8
    return np.arange(max(0, int(images * p - spread)), int(images * p + spread))


@lru_cache
def _first_covering(gained: int, images: int, difference: float, confidence: float) -> int:
    """Fewest lost images at which the bound reaches down to -`difference`; more lost lie lower still."""
    low, high = -1, images - gained
    while high - low > 1:
        middle = (low + high) // 2
        if bound_of_counts(middle, gained, images, confidence).lower <= -difference:
            high = middle
        else:
            low = middle
    return high


@pytest.mark.parametrize("discordance", [0.03, 0.05, 0.08])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_coverage_at_the_boundary_is_nominal(discordance: float, confidence: float) -> None:
    # 4,000 images, a true loss of exactly the floor's 2 points: what the experiments certify.
    coverage = exact_coverage(4000, 0.02, discordance, confidence)
    assert confidence - 0.001 <= coverage <= confidence + 0.005


@pytest.mark.parametrize("discordance", [0.02, 0.03, 0.05, 0.08])
def test_coverage_is_close_to_nominal_on_few_images(discordance: float) -> None:
    assert exact_coverage(200, 0.02, discordance, 0.95) >= 0.944


def answered(reference: np.ndarray, lost: int, gained: int) -> np.ndarray:
    """Answers of a candidate that loses and gains that many images; the reference is right on the first ones."""
    correct = reference.copy()
    correct[:lost] = False
    right = int(reference.sum())
    correct[right : right + gained] = True
    return correct


def simulated_false_share(rng: np.random.Generator, searches: int, loss: float, attempts: int) -> float:
    """Share of searches that certify a floor of -2 points though each of their 200 candidates truly loses `loss`.

    Each candidate is scored on 1,000 search images; the best few there are tried on 4,000 unseen ones.
    """
    discordance = 0.06
    p = [(discordance + loss) / 2, (discordance - loss) / 2, 1 - discordance]
    on_search = rng.multinomial(1000, p, size=(searches, 200))
    best = np.argsort(on_search[..., 0] - on_search[..., 1], axis=1, kind="stable")[:, :attempts]
    unseen = rng.multinomial(4000, p, size=(searches, 200))
    reference = np.arange(4000) < 3680
    false = 0
    for search in range(searches):
        answers = {int(c): answered(reference, *unseen[search, c, :2]) for c in best[search]}
        false += bool(
            certify(list(answers), answers.__getitem__, reference, Floor(-0.02), 0.95, equal_shares(attempts)).holds
        )
    return false / searches


@pytest.mark.parametrize("attempts", [1, 5])
def test_a_thousand_searches_over_candidates_below_the_floor_are_almost_never_certified(attempts: int) -> None:
    # W01: the true accuracy is 2 points below the floor.
    assert simulated_false_share(np.random.default_rng(1), 1000, loss=0.04, attempts=attempts) <= 0.001


@pytest.mark.parametrize("attempts", [1, 5])
def test_candidates_exactly_at_the_floor_are_certified_falsely_in_at_most_one_of_twenty(attempts: int) -> None:
    # The worst case; 1,000 searches have a standard error of 0.7 points at a true rate of 5 %.
    share = simulated_false_share(np.random.default_rng(2), 1000, loss=0.02, attempts=attempts)
    assert 0.02 < share <= 0.05 + 2 * 0.007


def at_least(hits: int, images: int, accuracy: float) -> float:
    """Probability of at least so many hits: the terms of the binomial summed one by one."""
    choices = (lgamma(images + 1) - lgamma(k + 1) - lgamma(images - k + 1) for k in range(hits, images + 1))
    terms = (k * log(accuracy) + (images - k) * log1p(-accuracy) for k in range(hits, images + 1))
    return fsum(exp(choice + term) for choice, term in zip(choices, terms, strict=True))


@pytest.mark.parametrize(("hits", "images"), [(1, 100), (37, 100), (91, 100), (99, 100), (100, 100), (46_000, 50_000)])
def test_the_absolute_bound_is_clopper_pearson(hits: int, images: int) -> None:
    bound = absolute_lower_bound(np.arange(images) < hits, 0.95)
    assert at_least(hits, images, bound) == pytest.approx(0.05, rel=1e-6)


def test_the_absolute_bound_of_no_hit_is_zero() -> None:
    assert absolute_lower_bound(np.zeros(100, dtype=bool), 0.95) == 0.0


def test_the_paired_standard_error_is_never_zero_and_agrees_with_simulation() -> None:
    assert paired_sem(0, 0, 1000) > 0
    lost, gained, _ = np.random.default_rng(0).multinomial(1000, [0.04, 0.02, 0.94], size=4000).T
    assert paired_sem(40, 20, 1000) == pytest.approx(((gained - lost) / 1000).std(), rel=0.03)


@pytest.mark.parametrize(
    ("margin", "discordance", "images"), [(0.02, 0.9 * 0.1, 610), (0.01, 0.9 * 0.1, 2440), (0.01, 0.04, 1080)]
)
def test_required_images_are_those_of_the_plan(margin: float, discordance: float, images: int) -> None:
    assert required_images(margin, discordance, 0.95) == pytest.approx(images, rel=0.005)


def test_required_images_give_the_margin_that_was_asked() -> None:
    images = required_images(0.01, 0.04, 0.95)
    bound = bound_of_counts(round(0.02 * images), round(0.02 * images), images, 0.95)
    # The plan is the Wald bound; the score bound is a little wider.
    assert bound.lower == pytest.approx(-0.01, rel=0.05)


CANDIDATES = {7: (60, 20), 3: (30, 20), 12: (10, 20)}
"""Trial number: images lost and gained of 1,000."""


def certified(
    order: list[int],
    floor: Floor | None = Floor(-0.03),  # noqa: B008
    shares: tuple[float, ...] | None = None,
    missing: int | None = None,
):
    """The certificate of these candidates, alike in their shares unless they are given, and which were scored."""
    scored: list[int] = []
    reference = np.arange(1000) < 900

    def correct_of(candidate: int) -> np.ndarray | None:
        scored.append(candidate)
        return None if candidate == missing else answered(reference, *CANDIDATES[candidate])

    shares = shares or equal_shares(max(len(order), 1))
    return certify(order, correct_of, reference, floor, 0.95, shares), scored


def test_the_boldest_candidate_that_holds_is_certified() -> None:
    certificate, scored = certified([12, 3, 7])
    assert scored == [12, 3, 7]
    assert [attempt.holds for attempt in certificate.attempts] == [True, True, False]
    assert (certificate.holds, certificate.reported.candidate) == (True, 3)
    assert certificate.estimate == pytest.approx(-0.010)
    assert certificate.statement.endswith("holds (1 other candidate did not reach it).")


def test_what_holds_passes_its_share_on_and_what_does_not_has_lost_it() -> None:
    certificate, _ = certified([12, 7, 3], shares=(0.2, 0.5, 0.3))
    expected = [
        bound_of_counts(*CANDIDATES[one], 1000, 1 - 0.05 * share).lower
        for one, share in ((12, 0.2), (7, 0.7), (3, 0.3))
    ]
    assert [attempt.lower_bound for attempt in certificate.attempts] == pytest.approx(expected)
    assert certificate.reported.candidate == 3, "what is bolder may hold though the milder one does not"
    assert certificate.method.endswith("3 candidates by the fallback procedure with shares of 20 %, 50 %, 30 %")


def test_with_all_for_the_first_it_is_a_sequence_that_ends_at_what_does_not_hold() -> None:
    found, scored = certified([12, 3, 7, 3], shares=(1.0, 0.0, 0.0, 0.0))
    assert scored == [12, 3, 7], "nothing is left to test the last with"
    assert (found.holds, found.reported.candidate) == (True, 3)
    assert found.lower_bound == bound_of_counts(30, 20, 1000, 0.95).lower, "each at the whole confidence"
    none, scored = certified([7, 12], shares=(1.0, 0.0))
    assert scored == [7]
    assert (none.holds, none.reported.candidate) == (False, 7)


def test_what_misses_something_else_on_these_images_is_as_one_that_does_not_hold() -> None:
    found, _ = certified([12, 3, 7], missing=3)
    assert [attempt.candidate for attempt in found.attempts] == [12, 7]
    assert found.attempts[-1].lower_bound == bound_of_counts(*CANDIDATES[7], 1000, 1 - 0.05 / 3).lower
    with pytest.raises(ConfigError, match="expected a candidate that is scored, got none"):
        certified([3], missing=3)


@pytest.mark.parametrize("shares", [(1.0, 0.0, 0.0, 0.0), (0.25, 0.25, 0.25, 0.25), (0.4, 0.0, 0.6, 0.0)])
@pytest.mark.parametrize("safe", [(), (0,), (0, 2), (1, 3)])
def test_what_is_below_the_floor_is_certified_in_at_most_one_of_twenty(
    safe: tuple[int, ...], shares: tuple[float, ...]
) -> None:
    """Some that lose nothing, anywhere in the order, the others exactly at the floor."""
    rng, reference, false = np.random.default_rng(len(safe)), np.arange(4000) < 3680, 0
    losses = [0.0 if place in safe else 0.02 for place in range(4)]
    for _ in range(500):
        counts = [rng.multinomial(4000, [(0.06 + loss) / 2, (0.06 - loss) / 2, 0.94]) for loss in losses]
        answers = {place: answered(reference, *count[:2]) for place, count in enumerate(counts)}
        found = certify(list(answers), answers.__getitem__, reference, Floor(-0.02), 0.95, shares)
        false += any(attempt.holds for attempt in found.attempts if attempt.candidate not in safe)
    assert 0 < false / 500 <= 0.05 + 3 * 0.01


@pytest.mark.parametrize("shares", [(0.9, 0.2), (1.2, -0.2), (0.0, 1.0), (1.0,)])
def test_shares_that_are_no_split_of_the_error_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="expected a share of the error probability for each of 2 candidates"):
        certified([12, 3], shares=shares)


def test_where_none_holds_the_one_that_came_closest_is_told_and_all_are_listed() -> None:
    certificate, scored = certified([7, 3], floor=Floor(-0.01))
    assert scored == [7, 3]
    assert certificate.holds is False
    assert (certificate.reported.candidate, certificate.estimate) == (3, pytest.approx(-0.01))
    assert certificate.statement.endswith("the floor of -1.00 points does not hold, for none of 2 candidates.")


def test_the_statement_has_all_the_numbers() -> None:
    certificate, _ = certified([3], floor=Floor(-0.03))
    assert certificate.statement == (
        "With 95 % confidence the network's top-1 accuracy is at most 2.21 points below the reference's "
        "(measured -1.00 points), on 1,000 images that the search never saw: the floor of -3.00 points holds."
    )


def test_an_absolute_floor_is_tested_exactly() -> None:
    certificate, _ = certified([12], floor=Floor(0.89, relative=False))
    assert certificate.estimate == pytest.approx(0.91)
    assert certificate.lower_bound == pytest.approx(beta.ppf(0.05, 910, 91))
    assert certificate.holds is True
    assert "at least 89.37 % (measured 91.00 %)" in certificate.statement
    assert certificate.method == "exact (Clopper-Pearson) bound"


def test_without_a_floor_the_first_candidate_gets_its_bound() -> None:
    certificate, scored = certified([7, 3], floor=None)
    assert scored == [7]
    assert (certificate.floor, certificate.holds) == (None, None)
    assert certificate.statement.endswith("on 1,000 images that the search never saw.")


def test_the_certificate_is_written_as_json() -> None:
    certificate, _ = certified([7, 3, 12])
    content = json.loads(json.dumps(certificate.to_json()))
    assert set(content) == {
        *("statement", "floor", "estimate", "lower_bound", "confidence", "images", "method", "holds", "attempts")
    }
    assert content["floor"] == -0.03
    assert content["attempts"][1]["candidate"] == 3


def test_a_floor_is_read_from_the_objectives_bound() -> None:
    assert Floor.of(Constraint("top1_error", "<=", 0.02, "pp")) == Floor(-0.02)
    assert Floor.of(parse("top1_accuracy", ">= 91 %")) == Floor(pytest.approx(0.91), relative=False)
    with pytest.raises(ConfigError, match="expected a floor in points"):
        Floor.of(parse("top1_error", "<= 2x"))


def test_an_impossible_certificate_is_refused_with_the_images_it_would_need() -> None:
    with pytest.raises(
        ConfigError,
        match=r"data\.splits\.certification: on 400 images even a network that agrees with the reference on every "
        r"image reaches a bound of only -1\.14 points, so a floor of -1\.00 points .* take at least 459 images",
    ):
        check_possible(Floor(-0.01), 400, confidence=0.95, max_attempts=5)
    assert bound_of_counts(0, 0, 459, 0.99).lower >= -0.01 > bound_of_counts(0, 0, 458, 0.99).lower


def test_an_absolute_floor_that_no_network_reaches_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"even a network without an error reaches a bound of only 97\.05 %"):
        check_possible(Floor(0.99, relative=False), 100)
    with pytest.raises(ConfigError, match=r"lower the floor$"):
        check_possible(Floor(1.0, relative=False), 100)


def test_a_possible_certificate_says_what_it_will_need() -> None:
    assert check_possible(Floor(-0.02), 4000, 0.95, 5) == (
        "If 5% of the 4,000 certification images are right for one of the two networks alone, the certificate's bound "
        "lies about 0.82 points below the measured value, so a floor of -2.00 points holds for networks that "
        "measure about -1.18 points or better; the fewer such images, the smaller the margin."
    )


def test_for_an_accuracy_it_assumes_one_near_the_floor() -> None:
    assert check_possible(Floor(0.9, relative=False), 2435) == (
        "For an accuracy near the floor, on 2,435 certification images, the certificate's bound lies about 1.00 points "
        "below the measured value, so a floor of 90.00 % holds for networks that measure about 91.00 % or better."
    )


@pytest.mark.parametrize(
    ("reference", "candidate", "message"),
    [
        (np.ones(5, bool), np.ones(4, bool), "5 images of the reference, 4 of the candidate"),
        (np.ones(0, bool), np.ones(0, bool), "expected one True or False per image"),
        (np.ones(5), np.ones(5), "expected one True or False per image, got float64"),
    ],
)
def test_answers_that_do_not_belong_together_are_refused(
    reference: np.ndarray, candidate: np.ndarray, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        paired_lower_bound(reference, candidate, 0.95)


@pytest.mark.parametrize("confidence", [0.0, 0.4, 1.0, 95.0])
def test_confidences_out_of_range_are_refused(confidence: float) -> None:
    with pytest.raises(ConfigError, match=r"certificate\.confidence: expected a number in \[0\.5, 1\)"):
        bound_of_counts(1, 1, 100, confidence)


def test_no_candidate_is_no_certificate() -> None:
    with pytest.raises(ConfigError, match="expected a candidate, got none"):
        certified([])
