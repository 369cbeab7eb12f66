"""F1.GAP: what S1's rule promises of a network on 250 images, what others show, and what a certificate says (Q02).

S1 scores its networks on 250 of 1,000 images and reports the errors on the other 750 (S1.50); one of its networks keeps
a floor of 10 points on the 250 and loses 43 on the others. How the images were split is not told; its twenty classes
are the first twenty, and chance alone does not explain the loss (S1.51). So its rule is applied to 250 images of all
classes, and to the first 250 in the order of classes.

Networks are drawn and not searched for, so that both choices are made among the same ones. Their cost is counted, so
that no noise of a clock enters the choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from moco.certification.certificate import Certificate, Floor, certify, equal_shares
from moco.compression.policy_settings import NEUTRAL
from moco.data.splits import stratified
from moco.encoding import decode, encode
from moco.policy import Policy
from moco.randomness import generator
from moco.reproduction.card import Card, Scale
from moco.reproduction.cards.actions import ACTIONS, CP, FP, Action
from moco.reproduction.cards.gap_figure import gap_figure
from moco.reproduction.lab import Lab, opened
from moco.reproduction.raw import RawRow, Reading
from moco.reproduction.setting import Drawn, Setting
from moco.reproduction.subjects import RESNET20, RESNET56, Subject

COLUMNS = ("chosen_on_pp", "others_pp", "unseen_pp", "certified_pp", "cost", "delivered_pp", "delivered_cost")
IMAGES, CHOSEN_ON = 1000, 250
FLOOR_PP, LOWEST = 10.0, 0.3
FLOOR = -FLOOR_PP / 100
ATTEMPTS = 3
"""Networks that may be certified in turn, S1's choice first and the whole network last."""
DRAWS = 50
"""Draws of the 250 images that a gap is a mean over."""
CHANNELS = "R50 -4.45, R18 -2.7, MBv2 -0.8"
ALL, FIRST = "250 of all classes", "first 250 by class"


@dataclass(frozen=True)
class Pool:
    """Networks that a choice is made among, the whole network first.

    Attributes:
        right: (networks, images) of bool, on the 1,000 images.
        cost: (networks,), the mean of size and MACs relative to the whole network's.
    """

    policies: Sequence[Policy]
    right: np.ndarray
    cost: np.ndarray

    def order(self, chosen_on: np.ndarray) -> list[int]:
        """Networks that keep the floor on these images, the cheapest first: S1's rule, whose best is the first."""
        change = self.change(chosen_on)
        kept = [place for place in range(len(self.cost)) if change[place] >= FLOOR - 1e-12]
        return sorted(kept, key=lambda place: (self.cost[place], place))

    def change(self, images: np.ndarray) -> np.ndarray:
        """Accuracies on these images less the whole network's, (networks,), as fractions."""
        accuracy = self.right[:, images].mean(axis=1)
        return np.asarray(accuracy - accuracy[0])


def few_images(setting: Setting) -> Drawn:
    """A seed of F1.GAP."""
    rows: list[RawRow] = []
    evidence: list[dict[str, Any]] = []
    facts, hardware = {}, ""
    for subject in (RESNET20, RESNET56) if setting.full else (RESNET20,):
        larger = replace(subject, splits={**subject.splits, "search": IMAGES})
        gaps: dict[str, dict[str, float]] = {ALL: {}, FIRST: {}}
        for action in ACTIONS:
            with opened(larger, setting, action.space(LOWEST), recovery=action.recovery) as lab:
                facts[subject.name], hardware = lab.facts, lab.hardware
                pool = _drawn(lab, setting.of(24, 200))
                rows += [_row(lab, action, pool, how) for how in (ALL, FIRST)]
                labels = lab.labels("search")
            gaps[ALL][action.name] = _gap(pool, _parts(labels, setting.seed))
            gaps[FIRST][action.name] = _gap(pool, [_by_class(labels)])
        evidence.append(_evidence(subject, gaps))
    drawn = setting.of(24, 200)
    rule = (
        f"S1's rule: of {drawn} drawn networks and the whole one, the cheapest that loses at most {FLOOR_PP:g} points"
    )
    told = (
        f"{rule} on the {CHOSEN_ON} images; changes are against the whole network, in points",
        f"certified_pp is what a test at 95 %, shared by {ATTEMPTS}, promises of that choice on the unseen images",
        f"delivered is the first of {ATTEMPTS} that keeps the floor there: by S1's rule, and the whole network last",
    )
    return Drawn(tuple(rows), {"Q02": evidence}, facts, hardware, notes=told)


def _drawn(lab: Lab, count: int) -> Pool:
    """The whole network, and networks that are compressed from barely to as far as the space goes."""
    lab.setting.tell(f"{lab.subject.name}: {count} networks on {IMAGES} images")
    space, rng = lab.prepared.space, generator(lab.setting.seed, "few images")
    whole = encode(space, space.uniform(0.0))
    shares = np.geomspace(0.05, 1.0, count)
    points = [decode(space, whole * (1 - share * rng.random(len(whole)))) for share in shares]
    policies = [NEUTRAL, *(lab.policy(point) for point in points)]
    right = np.stack([lab.right(policy, "search").top1 for policy in policies])
    counted = [space.cost(policy) for policy in policies]
    cost = [np.mean([one[name] / counted[0][name] for name in ("packed_size_mb", "macs")]) for one in counted]
    return Pool(policies, right, np.array(cost))


def _parts(labels: np.ndarray, seed: int) -> list[np.ndarray]:
    """Draws of 250 images with all classes in proportion."""
    rng = generator(seed, "few images", "parts")
    return [np.asarray(stratified(labels, (CHOSEN_ON, None), rng)[0]) for _ in range(DRAWS)]


def _by_class(labels: np.ndarray) -> np.ndarray:
    return np.argsort(labels, kind="stable")[:CHOSEN_ON]


def _others(images: np.ndarray) -> np.ndarray:
    return np.setdiff1d(np.arange(IMAGES), images)


def _gap(pool: Pool, parts: Sequence[np.ndarray]) -> float:
    """By how many points the 250 images flatter the network that is chosen on them, against the 750 others."""
    gaps = []
    for images in parts:
        chosen = pool.order(images)[0]
        gaps.append(100 * (pool.change(images)[chosen] - pool.change(_others(images))[chosen]))
    return float(f"{np.mean(gaps):.6g}")


def _evidence(subject: Subject, gaps: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Gaps of the choice on images of all classes, which Q02 is judged by, and beside them by order of class."""
    both = {name: gaps[ALL][name] for name in (FP.name, CP.name)}
    return {"network": subject.name, **both, "by_class": {name: gaps[FIRST][name] for name in both}}


def _row(lab: Lab, action: Action, pool: Pool, how: str) -> RawRow:
    labels = lab.labels("search")
    images = _parts(labels, lab.setting.seed)[0] if how == ALL else _by_class(labels)
    order = pool.order(images)
    chosen = order[0]
    final = _certificate(lab, pool, _tried(order))
    first = _certificate(lab, pool, [chosen])
    attempt, delivered = first.attempts[0], final.reported
    values = {
        "chosen_on_pp": 100 * pool.change(images)[chosen],
        "others_pp": 100 * pool.change(_others(images))[chosen],
        "unseen_pp": 100 * attempt.estimate,
        "certified_pp": 100 * attempt.lower_bound,
        "cost": pool.cost[chosen],
        "delivered_pp": 100 * delivered.estimate,
        "delivered_cost": pool.cost[int(delivered.candidate)],
    }
    readings = {name: Reading(value=float(f"{value:.6g}")) for name, value in values.items()}
    name, budget = f"{action.name}, {how}", f"{len(pool.policies) - 1} networks"
    return RawRow(name=name, network=lab.subject.name, action=action.name, budget=budget, values=readings)


def _tried(order: Sequence[int]) -> list[int]:
    """S1's choice, the next ones by its rule, and the whole network last."""
    return [*order[: order.index(0)][: ATTEMPTS - 1], 0]


def _certificate(lab: Lab, pool: Pool, places: Sequence[int]) -> Certificate:
    """Of the first of these networks that keeps the floor on the unseen images; the last is tested first."""

    def right(place: int) -> np.ndarray:
        return lab.fresh(pool.policies[place]).top1

    reference = lab.fresh_reference.top1
    return certify(places[::-1], right, reference, Floor(FLOOR), shares=equal_shares(len(places)))


CARD = Card(
    id="F1.GAP",
    title="A floor that is kept on 250 images, on others, and under a certificate",
    system="S1",
    columns=COLUMNS,
    runner=few_images,
    published={f"FP, {ALL}": {"others_pp": "R50 -18.5, R18 0, MBv2 -43.3"}, f"CP, {ALL}": {"others_pp": CHANNELS}},
    findings=("Q02",),
    seeds={Scale.SMALL: 5, Scale.FULL: 5},
    minutes={Scale.SMALL: 15, Scale.FULL: 240},
    files=frozenset({Scale.SMALL, Scale.FULL}),
    figure=gap_figure,
)
