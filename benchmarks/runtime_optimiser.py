"""Do compression and a runtime's own optimiser compound (S1.60, S1.61, F1.TRT, Q17)?

    python -m benchmarks.runtime_optimiser experiments/resnet56_cifar10_refit.yaml [--level 0.5] [--seconds 2]

Three networks, the reference, one with channels pruned and one with Tucker-2 factors, each opened by ONNX Runtime as
the file says (`optimise: none`) and after its graph optimiser: six sessions, timed in turn. The interaction is the
optimiser's gain on the compressed network over its gain on the reference, slot by slot: 1 where the two gains multiply,
above 1 where they are partly the same gain. No network is trained: times and sizes do not depend on it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moco.errors import MocoError
from moco.evaluation.builder import Builder
from moco.experiment.build import build_job, untracked
from moco.experiment.loading import load_experiment
from moco.interfaces import Session, Target
from moco.measurement import TIME, Measurement, TimingPlan
from moco.randomness import generator
from moco.readings import READINGS
from moco.registry import plugin
from moco.run.job import prepare

METHODS = {
    "channels pruned": {"channel_pruning": {"keep": [0.25, 1.0]}},
    "Tucker-2": {"factorisation": {"keep": [0.1, 1.0]}},
}
LEVELS = {"plain": "none", "optimised": "all"}
REFERENCE, RESAMPLES = "reference", 2000


@dataclass(frozen=True)
class Cell:
    """A network as it is opened one way."""

    network: str
    opened: str
    session: Session
    size_mb: float


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--level", type=float, default=0.5, help="of compression, 0 none, 1 all that the space allows")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each of the six sessions")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with ExitStack() as stack:
        cells = list(_cells(stack, arguments.experiment, arguments.level))
        for line in _page(cells, arguments.seconds):
            print(line, flush=True)


def _cells(stack: ExitStack, experiment: Path, level: float) -> Iterator[Cell]:
    targets = {name: _target(optimise) for name, optimise in LEVELS.items()}
    for network, methods in {REFERENCE: METHODS["channels pruned"], **METHODS}.items():
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        overrides = [f"space={_space(methods)}", "recovery=[]"]
        job = build_job(untracked(load_experiment(experiment, overrides)), folder / "run")
        prepared = stack.enter_context(closing(prepare(replace(job, profile_only=True), folder)))
        builder: Builder = prepared.evaluator.builder
        policy = prepared.space.canonical(prepared.space.uniform(0.0 if network == REFERENCE else level))
        artifact, _ = builder.build(policy)
        for opened, target in targets.items():
            session = stack.enter_context(closing(target.load(artifact)))
            yield Cell(network, opened, session, artifact.size_bytes / 1e6)


def _space(methods: Mapping[str, Any]) -> str:
    """In YAML's flow form, which an override is read as."""
    return str({"groups": "per-block", **methods}).replace("'", "")


def _target(optimise: str) -> Target:
    cls = plugin("target", "onnxruntime")
    target: Target = cls(cls.Options(optimise=optimise))
    target.connect()
    return target


def _page(cells: Sequence[Cell], seconds: float) -> Iterator[str]:
    target = _target(LEVELS["optimised"])
    for name, reading in READINGS.items():
        if reading.series != TIME:
            continue
        plan = TimingPlan(batch=reading.batch, seconds=seconds)
        found = target.measure([cell.session for cell in cells], plan)
        yield f"\n{name}, batch {reading.batch}: relative to the plain reference, with 95 % intervals\n"
        yield "| network | plain | optimised | interaction | file |"
        yield "|---|---|---|---|---|"
        for at in range(0, len(cells), 2):
            plain, optimised = (_shown(found, place) for place in (at, at + 1))
            interaction = "" if at == 0 else "{:.3f} ({:.3f} to {:.3f})".format(*_interaction(found, at))
            yield f"| {cells[at].network} | {plain} | {optimised} | {interaction} | {cells[at].size_mb:.3f} MB |"
        yield from (f"warning: {text}" for text in found.warnings)


def _shown(found: Measurement, place: int) -> str:
    if place == 0:
        return f"1 ({found.median_ms():.3f} ms)"
    ratio = found.ratio(session=place)
    return f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"


def _interaction(found: Measurement, at: int) -> tuple[float, float, float]:
    """Median and 95 % interval of (compressed optimised / plain) / (reference optimised / plain), slot by slot."""
    times = np.log(np.array(found.samples_ms))
    slots = (times[at + 1] - times[at]) - (times[1] - times[0])
    drawn = generator(0, "interaction").integers(len(slots), size=(RESAMPLES, len(slots)))
    low, high = np.quantile(np.median(slots[drawn], axis=1), [0.025, 0.975])
    return float(np.exp(np.median(slots))), float(np.exp(low)), float(np.exp(high))


if __name__ == "__main__":
    try:
        main()
    except MocoError as error:
        raise SystemExit(str(error)) from None
