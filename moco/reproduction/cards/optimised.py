"""F1.TRT: a network as its file says and after the runtime's optimiser, whole and compressed (Q17)."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Any

import numpy as np

from moco.compression.policy_settings import NEUTRAL
from moco.interfaces import Session, Target
from moco.measurement import Measurement, TimingPlan
from moco.randomness import generator
from moco.registry import DEFAULT_TARGET, plugin
from moco.reproduction.card import Absence, Card, Scale
from moco.reproduction.cards.rows import NO_COUNTER
from moco.reproduction.lab import Lab, opened
from moco.reproduction.raw import RawRow, Reading
from moco.reproduction.setting import Drawn, Setting
from moco.reproduction.subjects import DIGITS, RESNET20, RESNET56, Subject

COLUMNS = ("throughput_ips", "throughput_ratio", "size_mb", "energy_j")
SPACES: dict[str, dict[str, Any]] = {
    "CP": {"channel_pruning": {"keep": [0.25, 1.0]}},
    "TD": {"factorisation": {"keep": [0.1, 1.0]}},
}
LEVEL = 0.5
LEVELS = {"plain": "none", "optimised": "all"}
BATCH, RESAMPLES = 32, 2000


def optimised(setting: Setting) -> Drawn:
    """A seed of F1.TRT."""
    rows: list[RawRow] = []
    evidence: list[dict[str, Any]] = []
    facts, hardware = {}, ""
    for subject in (DIGITS, RESNET20, RESNET56) if setting.full else (DIGITS, RESNET20):
        for name, space in SPACES.items():
            with opened(subject, setting, space) as lab:
                facts[subject.name], hardware = lab.facts, lab.hardware
                found, sizes = _timed(lab, setting.of(1, 3))
            rows += _rows(subject, name, found, sizes)
            if name == "CP":
                evidence.append({"network": subject.name, **_design(found)})
    return Drawn(tuple(rows), {"Q17": evidence}, facts, hardware)


def _timed(lab: Lab, seconds: float) -> tuple[Measurement, list[float]]:
    """The reference plain and optimised, then the compressed one likewise, timed in turn; sizes of both files, MB."""
    cls = plugin("target", DEFAULT_TARGET)
    builder = lab.prepared.evaluator.builder
    sessions: list[Session] = []
    sizes: list[float] = []
    with ExitStack() as stack:
        for policy in (NEUTRAL, lab.uniform(LEVEL)):
            artifact, _ = builder.build(policy)
            sizes.append(artifact.size_bytes / 1e6)
            for level in LEVELS.values():
                target: Target = cls(cls.Options(threads=1, optimise=level))
                target.connect()
                sessions.append(stack.enter_context(closing(target.load(artifact))))
        plan = TimingPlan(batch=BATCH, seconds=float(seconds), seed=lab.setting.seed)
        return lab.prepared.job.target.measure(sessions, plan), sizes


def _rows(subject: Subject, name: str, found: Measurement, sizes: list[float]) -> list[RawRow]:
    rows = []
    for place in range(4):
        if place < 2 and name != "CP":
            continue
        ratio = found.ratio(session=place) if place else None
        speed = BATCH * 1000 / found.median_ms(place)
        gain = (1.0, 1.0, 1.0) if ratio is None else (1 / ratio.value, 1 / ratio.high, 1 / ratio.low)
        values = {
            "throughput_ips": Reading(value=speed),
            "throughput_ratio": Reading(value=gain[0], low=gain[1], high=gain[2]),
            "size_mb": Reading(value=sizes[place // 2]),
        }
        who = "Ref" if place < 2 else name
        row = f"{who}, {list(LEVELS)[place % 2]}"
        rows.append(RawRow(name=row, network=subject.name, action=who, values=values, absent={"energy_j": NO_COUNTER}))
    return rows


def _design(found: Measurement) -> dict[str, Any]:
    """Both together against the optimiser alone, and the interaction: the optimiser's gain here over that there."""
    both = found.ratio(session=3, reference=1)
    times = np.log(np.array(found.samples_ms))
    slots = (times[3] - times[2]) - (times[1] - times[0])
    drawn = generator(0, "interaction").integers(len(slots), size=(RESAMPLES, len(slots)))
    low, high = np.exp(np.quantile(np.median(slots[drawn], axis=1), [0.025, 0.975]))
    interaction = {"value": float(np.exp(np.median(slots))), "low": float(low), "high": float(high)}
    return {"ratio": both.value, "low": both.low, "high": both.high, "interaction": interaction}


CARD = Card(
    id="F1.TRT",
    title="Whole and compressed networks, plain and after the runtime's own optimiser",
    system="S1",
    columns=COLUMNS,
    runner=optimised,
    published={
        "Ref, optimised": {"throughput_ratio": "R50 about 4"},
        "CP, optimised": {"throughput_ips": "R50 357", "throughput_ratio": "up to 6", "size_mb": "R50 51"},
        "TD, optimised": {"throughput_ratio": "MBv2 slower"},
    },
    findings=("Q17",),
    absences=(Absence("any", "on TensorRT", "TensorRT needs a GPU of NVIDIA's; ONNX Runtime's optimiser stands in"),),
    files=frozenset({Scale.SMALL, Scale.FULL}),
)
