"""Certificates: a one-sided confidence statement on images that the search never saw, paired with the reference (W01).

The candidates come in an order, from the safest to the boldest, and each has a share of the error probability alpha;
both are fixed without these images. A candidate is tested with its share, and where it holds, its share passes on to
the next one, which is tested with both; where it does not, its share is lost. The boldest that held is certified: the
fallback procedure (Wiens 2003, Wiens and Dmitrienko 2005). With all of alpha for the first it is a fixed sequence
(Maurer, Hothorn and Lehmacher 1995), in which nothing is paid for the number of candidates, but what is bolder is only
reached where all that is milder holds; and it is never worse than Bonferroni's correction with the same shares.

A network below the floor is certified with a probability of at most alpha, whatever the search did: until a first such
network holds, it and those like it are tested with shares that no such network has passed on. Say that i is the first
below the floor that holds. What it was tested with is its own share and those of the candidates right before it, all of
which held and are no such network; those of two such candidates are apart, so all of them together are at most alpha.

The bounds themselves are in confidence_bounds.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from numpy.typing import ArrayLike

from moco.certification.confidence_bounds import (
    EXACT,
    TANGO,
    Correct,
    absolute_lower_bound,
    check_confidence,
    correct_array,
    expected_margin,
    flawless_bound,
    paired_lower_bound,
)
from moco.constraints import Constraint
from moco.errors import ConfigError
from moco.metrics import decimal, percent

CONFIDENCE = 0.95
"""Of a certificate, one-sided, where nothing else is asked for."""
ATTEMPTS = 5
"""Candidates that may be tried on the certification split, likewise."""

DISCORDANCE = 0.05
"""Share of images that is taken to be right for one network and wrong for the other, before anything is measured."""

Candidate = TypeVar("Candidate", int, str)
"""A trial's number or another name: what the certificate calls it."""


@dataclass(frozen=True)
class Floor:
    """The accuracy that is to be certified."""

    value: float  # difference to the reference (-0.02: 2 points below) or accuracy, as a fraction
    relative: bool = True  # whether it is a difference

    @staticmethod
    def of(constraint: Constraint) -> Floor:
        """The floor that a bound on top-1 error states."""
        if constraint.relative_to_reference == "pp":
            return Floor(-constraint.number)
        if constraint.relative_to_reference is None:
            return Floor(1 - constraint.number, relative=False)
        raise ConfigError(
            "certificate: expected a floor in points ('-2 pp') or as an accuracy ('91 %'), got a factor 'x'"
        )

    def __str__(self) -> str:
        """As a person reads it."""
        return _points(self.value) if self.relative else percent(self.value)


@dataclass(frozen=True)
class Attempt:
    """One candidate's test at the corrected confidence."""

    candidate: int | str  # its number or name
    estimate: float  # in the floor's terms: difference to the reference, or accuracy, as fractions
    lower_bound: float  # likewise
    lost: int  # images that only the reference gets right
    gained: int  # images that only the candidate gets right
    holds: bool | None  # whether the lower bound reaches the floor; None without a floor


@dataclass(frozen=True)
class Certificate:
    """What is known of a network's accuracy on unseen images."""

    statement: str  # one sentence for people
    floor: float | None  # None where the protocol has none
    estimate: float  # as in Attempt, like the next
    lower_bound: float
    confidence: float  # of the whole procedure, one-sided, correction included
    images: int
    method: str
    holds: bool | None  # as in Attempt
    attempts: tuple[Attempt, ...]  # all that were tested, in their order

    def to_json(self) -> dict[str, Any]:
        """The content of certificate.json."""
        return asdict(self)

    @property
    def reported(self) -> Attempt:
        """The attempt that this certificate is about: the boldest that holds, or the one that came closest."""
        return _reported(self.attempts)


def certify(
    candidates: Sequence[Candidate],
    correct_of: Callable[[Candidate], ArrayLike | None],
    reference_correct: ArrayLike,
    floor: Floor | None,
    confidence: float = 0.95,
    shares: Sequence[float] = (1.0,),
) -> Certificate:
    """The certificate of the boldest candidate that is shown to hold; of the highest bound where none is.

    Candidates come safest first. Their order and the `shares`, one each, of the error probability 1 - `confidence`,
    which is that of the whole procedure, must not depend on the certification images. Each is tested with its share and
    what those right before it have passed on; one that has nothing is not tested. Without a floor only the first is
    scored, at full confidence.

    `correct_of` scores a candidate on the images, (images,) of bool, and is called only for those that are tested; one
    that misses something else that is asked on these images has None, and is as one that does not hold.
    `reference_correct` is the reference's.

    Raises:
        ConfigError: no candidate, or none that is scored; a confidence outside [0.5, 1); shares that are not one for
            each candidate, are below 0, have none for the first or come to more than 1.
        DataError: a candidate that was not scored on the reference's images.
    """
    check_confidence(confidence)
    if not candidates:
        raise ConfigError("certificate: expected a candidate, got none")
    if floor is None:
        candidates, shares = candidates[:1], (1.0,)
    _check_shares(shares, len(candidates))
    reference = correct_array(reference_correct)
    attempts: list[Attempt] = []
    passed_on = 0.0
    for candidate, own in zip(candidates, shares, strict=True):
        share = min(own + passed_on, 1.0)
        passed_on = 0.0
        if share > 0 and (correct := correct_of(candidate)) is not None:
            corrected = 1 - (1 - confidence) * share
            attempts.append(_attempt(candidate, correct_array(correct), reference, floor, corrected))
            passed_on = share if attempts[-1].holds else 0.0
    if not attempts:
        raise ConfigError("certificate: expected a candidate that is scored, got none")
    reported = _reported(attempts)
    return Certificate(
        statement=_statement(reported, floor, confidence, len(reference), attempts),
        floor=None if floor is None else floor.value,
        estimate=reported.estimate,
        lower_bound=reported.lower_bound,
        confidence=confidence,
        images=len(reference),
        method=_method(floor, shares),
        holds=reported.holds,
        attempts=tuple(attempts),
    )


def equal_shares(attempts: int) -> tuple[float, ...]:
    """The shares of so many candidates that all have the same."""
    return (1 / attempts,) * attempts


def check_possible(floor: Floor, images: int, confidence: float = 0.95, max_attempts: int = 1) -> str:
    """What the certificate will be able to show and on which assumption, in one sentence, said before the search (W02).

    `images` are those of the certification split, `confidence` that of the whole procedure, corrected over
    `max_attempts`. A ConfigError where even a network that loses no image (or makes no error, for an absolute floor)
    would not reach the floor.
    """
    corrected = 1 - (1 - confidence) / max_attempts
    best = flawless_bound(images, corrected) - (1.0 if floor.relative else 0.0)
    # Above the reference a network may still be: by the images that it gains, whose number nobody knows beforehand.
    if floor.value > best and not (floor.relative and floor.value > 0):
        flawless = "that agrees with the reference on every image" if floor.relative else "without an error"
        needed = _images_for_flawless(floor, corrected)
        raise ConfigError(
            f"data.splits.certification: on {images:,} images even a network {flawless} reaches a bound of only "
            f"{Floor(best, floor.relative)}, so a floor of {floor} cannot be certified at {100 * confidence:g} % "
            f"confidence in {max_attempts} attempts; {needed}"
        )
    spread = DISCORDANCE if floor.relative else max(floor.value * (1 - floor.value), 0.5 / images)
    margin = expected_margin(images, spread, corrected)
    assumed = f"For an accuracy near the floor, on {images:,} certification images"
    if floor.relative:
        assumed = f"If {spread:.0%} of the {images:,} certification images are right for one of the two networks alone"
    return (
        f"{assumed}, the certificate's bound lies about {100 * margin:.2f} points below the measured value, so a "
        f"floor of {floor} holds for networks that measure about {replace(floor, value=floor.value + margin)} or better"
        f"{'; the fewer such images, the smaller the margin' if floor.relative else ''}."
    )


def _images_for_flawless(floor: Floor, confidence: float) -> str:
    share = 1 + floor.value if floor.relative else floor.value
    if share >= 1:
        return "lower the floor"
    least = math.ceil(math.log(1 - confidence) / math.log(share))
    return f"lower the floor, or take at least {least:,} images: a smaller data.splits.search leaves more"


def _attempt(
    candidate: int | str, correct: Correct, reference: Correct, floor: Floor | None, confidence: float
) -> Attempt:
    paired = paired_lower_bound(reference, correct, confidence)
    estimate, lower = paired.difference, paired.lower
    if floor is not None and not floor.relative:
        estimate, lower = float(correct.mean()), absolute_lower_bound(correct, confidence)
    holds = None if floor is None else lower >= floor.value
    return Attempt(candidate, estimate, lower, paired.lost, paired.gained, holds)


def _reported(attempts: Sequence[Attempt]) -> Attempt:
    held = [attempt for attempt in attempts if attempt.holds]
    return held[-1] if held else _closest(attempts)


def _closest(attempts: Sequence[Attempt]) -> Attempt:
    """Of attempts that do not hold the one with the highest bound; of equals the first."""
    return max(attempts, key=lambda attempt: attempt.lower_bound)


def _statement(
    reported: Attempt, floor: Floor | None, confidence: float, images: int, attempts: Sequence[Attempt]
) -> str:
    text = (
        f"With {100 * confidence:g} % confidence the network's top-1 accuracy is {_bound(reported, floor)}, "
        f"on {images:,} images that the search never saw"
    )
    if floor is None:
        return f"{text}."
    if reported.holds:
        missed = _did_not_reach([attempt.holds for attempt in attempts])
        return f"{text}: the floor of {floor} holds{f' ({missed})' if missed else ''}."
    tried = len(attempts)
    return f"{text}: the floor of {floor} does not hold{f', for none of {tried} candidates' if tried > 1 else ''}."


def _did_not_reach(holds: Sequence[bool | None]) -> str:
    """Of attempts of which one holds, those that failed, in words; empty where none did."""
    failed = sum(not one for one in holds)
    return f"{failed} other candidate{'' if failed == 1 else 's'} did not reach it" if failed else ""


def _bound(reported: Attempt, floor: Floor | None) -> str:
    lower, estimate = reported.lower_bound, reported.estimate
    if floor is not None and not floor.relative:
        return f"at least {percent(lower)} (measured {percent(estimate)})"
    side = "at least {} above" if lower > 0 else "at most {} below"
    return f"{side.format(_points(abs(lower))[1:])} the reference's (measured {_points(estimate)})"


def _points(difference: float) -> str:
    return f"{'-' if difference < 0 else '+'}{decimal(abs(100 * difference), 2)} points"


def _method(floor: Floor | None, shares: Sequence[float]) -> str:
    name = TANGO if floor is None or floor.relative else EXACT
    if len(shares) == 1:
        return name
    told = ", ".join(f"{100 * share:.3g} %" for share in shares)
    return f"{name}, {len(shares)} candidates by the fallback procedure with shares of {told}"


def _check_shares(shares: Sequence[float], candidates: int) -> None:
    is_split = len(shares) == candidates and min(shares) >= 0 and shares[0] > 0 and sum(shares) <= 1 + 1e-9
    if not is_split:
        told = ", ".join(f"{share:g}" for share in shares) or "none"
        raise ConfigError(
            f"certificate: expected a share of the error probability for each of {candidates} candidates, none below "
            f"0, the first above it and together at most 1, got {told}"
        )
