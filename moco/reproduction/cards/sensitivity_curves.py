"""F3.6: how far each layer's pruning, weight bits and activation bits move a network's answers, one at a time."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from moco.analysis.sensitivity.layer_sensitivity import KEEP, WEIGHT_BITS, Levels
from moco.comparison.correlation.coefficients import spearman
from moco.experiment.build import build_job, untracked
from moco.experiment.loading import experiment_of
from moco.experiment.schema import Experiment
from moco.experiment.sensitivity import LayerStudy, studied
from moco.reproduction.card import Card, Scale
from moco.reproduction.cards.rows import share
from moco.reproduction.lab import facts_of, machine_line
from moco.reproduction.raw import RawRow, Reading
from moco.reproduction.setting import Drawn, Setting
from moco.reproduction.subjects import DIGITS, RESNET20, RESNET56, Subject, sections

ACTIVATION_BITS = "activation_bits"
LEVELS = Levels(
    keep=(0.9, 0.7, 0.5, 0.3),
    weight_bits=(8, 6, 4, 3, 2),
    activation_bits=(8, 6, 4, 3, 2),
    int8=False,
    branches=False,
)
SHORT = {KEEP: "keep", WEIGHT_BITS: "weights", ACTIVATION_BITS: "activations"}
COLUMNS = (
    "depth",
    *(f"kl_keep_{level:g}" for level in LEVELS.keep),
    *(f"kl_weights_{level}" for level in LEVELS.weight_bits),
    *(f"kl_activations_{level}" for level in LEVELS.activation_bits),
)
BY_DEPTH, RISING = "all layers: rank correlation with depth", "all layers: share that the step to this level harms"
NOT_PRUNED = "its channels cannot be pruned, or are pruned with those of an earlier layer"


def curves(setting: Setting) -> Drawn:
    """A seed of F3.6, on other images of the training set than the other seeds: a row a layer, in forward order."""
    rows: list[RawRow] = []
    facts, machine = {}, ""
    for subject in (DIGITS, RESNET20, RESNET56) if setting.full else (DIGITS, RESNET20):
        setting.tell(f"{subject.name}: sensitivity")
        experiment = _experiment(subject, setting)
        with tempfile.TemporaryDirectory() as folder:
            job = build_job(untracked(experiment), Path(folder))
        job.target.connect()
        facts[subject.name], machine = facts_of(job.data), machine_line(job.target)
        layers = _rows(subject, studied(experiment, setting.of(64, 256), levels=LEVELS))
        rows += [*layers, *_summary(subject, layers)]
    told = "KL(original || compressed) in nats of one layer at a time, no recovery after it; nothing is timed"
    return Drawn(tuple(rows), {}, facts, machine, notes=(told,))


def _experiment(subject: Subject, setting: Setting) -> Experiment:
    given = {
        "name": subject.name,
        "seed": setting.seed,
        **sections(subject, setting),
        "space": {"groups": "per-layer", "filter_pruning": {}},
        "objective": {"protocol": "front"},
    }
    return experiment_of(given)


def _rows(subject: Subject, study: LayerStudy) -> list[RawRow]:
    found = study.sensitivity
    rows = []
    for place, layer in enumerate(found.layers):
        values = {"depth": Reading(value=place / max(len(found.layers) - 1, 1))}
        own = [curve for curve in found.curves if curve.layer == layer and curve.parameter in SHORT]
        for curve in own:
            values |= {
                f"kl_{SHORT[curve.parameter]}_{level:g}": Reading(value=float(f"{kl:.6g}"))
                for level, kl in zip(curve.levels, curve.divergences, strict=True)
            }
        absent = {column: NOT_PRUNED for column in COLUMNS if column not in values}
        budget = f"{found.images} images"
        rows.append(RawRow(name=layer, network=subject.name, budget=budget, values=values, absent=absent))
    return rows


def _summary(subject: Subject, layers: list[RawRow]) -> list[RawRow]:
    """Of all layers: whether later ones are more sensitive, and whether heavier levels cost more."""
    by_depth: dict[str, Reading] = {}
    rising: dict[str, Reading] = {}
    absent: dict[str, str] = {"depth": "not of this row"}
    kinds = [[column for column in COLUMNS if column.startswith(f"kl_{kind}_")] for kind in SHORT.values()]
    for column in (column for kind in kinds for column in kind):
        pairs = [(row.values["depth"].value, row.values[column].value) for row in layers if column in row.values]
        depth, kl = (np.array(side) for side in zip(*pairs, strict=True))
        found = spearman(depth, kl, ("depth", column))
        if found.value is None:
            absent[column] = found.reason or "no coefficient"
        else:
            by_depth[column] = Reading(value=found.value, low=found.low, high=found.high)
    for lighter, heavier in (step for kind in kinds for step in pairwise(kind)):
        both = [row.values for row in layers if {lighter, heavier} <= row.values.keys()]
        rises = sum(one[heavier].value > one[lighter].value for one in both)
        rising[heavier] = share(rises, len(both))
    lacking = {column: "the lightest level" for column in COLUMNS if column not in rising} | {"depth": absent["depth"]}
    return [
        RawRow(name=BY_DEPTH, network=subject.name, values=by_depth, absent=absent),
        RawRow(name=RISING, network=subject.name, values=rising, absent=lacking),
    ]


CARD = Card(
    id="F3.6",
    title="Sensitivity curves by layer",
    system="S3",
    columns=COLUMNS,
    runner=curves,
    published={
        BY_DEPTH: {"kl_weights_4": "later layers are more sensitive to quantisation (ResNet-18)"},
        RISING: {"kl_weights_2": "fewer bits, higher KL (ResNet-18)"},
    },
    minutes={Scale.SMALL: 5, Scale.FULL: 120},
    files=frozenset({Scale.SMALL, Scale.FULL}),
)
