"""Does an agent of `moco serve` measure what the same target measures here, on the same machine?

    python -m benchmarks.remote_aa [--repeats 20] [--seconds 0.3] [--runtime onnxruntime]

Each repeat times a network against itself (A/A), and against one that is slower by a known 5 % (A/B), once by the local
target and once by an agent on loopback, in an order that is drawn. Asked for: the network's time over the agent is its
time here (the interval of their paired ratio holds 1), so is what the A/B gives, and of the intervals of each A/A at
least 94 % hold 1. Ends with status 1 where a figure is missed.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.aa_timing import HELD, LAYERS
from moco.hardware.measuring.probe_model import conv_stack, write
from moco.hardware.remote import RemoteOptions, RemoteTarget
from moco.interfaces import Artifact, Target
from moco.measurement import Measurement, RatioEstimate, TimingPlan
from moco.registry import DEFAULT_TARGET, plugin
from tests.hardware.agents import TOKEN, served

HERE, AWAY = "local", "remote"


def measured(target: Target, files: Sequence[Artifact], plan: TimingPlan) -> Measurement:
    """The files opened anew and timed."""
    sessions = [target.load(file) for file in files]
    try:
        return target.measure(sessions, plan)
    finally:
        for session in sessions:
            session.close()


def taken(
    targets: Mapping[str, Target], files: Sequence[Artifact], repeats: int, seconds: float
) -> dict[str, list[Measurement]]:
    """That many measurements by each target, side by side in a drawn order."""
    found: dict[str, list[Measurement]] = {name: [] for name in targets}
    draw = random.Random(0)
    for seed in range(repeats):
        for name in draw.sample(list(targets), len(targets)):
            found[name].append(measured(targets[name], files, TimingPlan(seconds=seconds, seed=seed)))
    return found


def across(numbers: Mapping[str, Sequence[float]]) -> RatioEstimate:
    """The agent's numbers relative to those that were taken here beside them."""
    return Measurement(TimingPlan(), (tuple(numbers[HERE]), tuple(numbers[AWAY]))).ratio()


def shown(ratio: RatioEstimate) -> str:
    """A ratio with its interval."""
    return f"{ratio.value:.4f} ({ratio.low:.4f} to {ratio.high:.4f})"


def compared(targets: Mapping[str, Target], folder: Path, repeats: int, seconds: float) -> list[str]:
    """What was missed; the figures are printed."""
    a, b = (write(conv_stack(LAYERS + more), folder / f"{more}.onnx") for more in (0, 1))
    same, other = (taken(targets, files, repeats, seconds) for files in ((a, a), (a, b)))
    times = across({name: [one.median_ms() for one in found] for name, found in same.items()})
    changes = {name: [one.ratio().value for one in found] for name, found in other.items()}
    change, missed = across(changes), []
    print(f"time of a call, {AWAY} / {HERE}: {shown(times)}, {repeats} pairs")
    print(f"ratio of the A/B, {AWAY} / {HERE}: {shown(change)}; {_median(changes[HERE]):.4f} here")
    for name, found in same.items():
        held = sum(one.ratio().holds(1.0) for one in found)
        print(f"A/A, {name}: {held} of {repeats} intervals hold 1; {sum(bool(one.warnings) for one in found)} doubted")
        missed += [f"A/A, {name}"] if held < HELD * repeats else []
    return missed + [what for what, ratio in (("times", times), ("A/B", change)) if not ratio.holds(1.0)]


def _median(numbers: Sequence[float]) -> float:
    return sorted(numbers)[len(numbers) // 2]


def main() -> int:
    """Start an agent and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each session in a measurement")
    parser.add_argument("--runtime", default=DEFAULT_TARGET)
    given = parser.parse_args()
    os.environ["MOCO_TOKEN"] = TOKEN
    with tempfile.TemporaryDirectory(prefix="moco-remote-aa-") as name:
        os.environ["MOCO_HOME"] = str(Path(name) / "home")
        with served(Path(name), "--runtime", given.runtime) as agent:
            cls = plugin("target", given.runtime)
            targets: dict[str, Target] = {HERE: cls(cls.Options()), AWAY: RemoteTarget(RemoteOptions(agent.url))}
            for target in targets.values():
                target.connect()
            missed = compared(targets, Path(name), given.repeats, given.seconds)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
