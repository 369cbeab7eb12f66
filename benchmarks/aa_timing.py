"""Can the timings be trusted? A file against itself (A/A), and against one that is slower by a known 5 % (A/B).

    python benchmarks/aa_timing.py --repeats 50 [--runtime openvino] [--model FILE] [--ab] [--threads 1] [--clock wall]

Asked for (W06): in A/A the median |ratio - 1| is at most 1 % and at least 47 of 50 intervals contain 1; in A/B a
true change of 5 % is detected (the interval lies above 1) in at least 90 % of the repeats. Both files are opened
anew for every repeat, as a search does for every candidate. Ends with status 1 where a figure is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from moco.hardware.measuring.probe_model import artifact, conv_stack, write
from moco.interfaces import Artifact, Target
from moco.measurement import Measurement, TimingPlan
from moco.registry import DEFAULT_TARGET, plugin

BATCHES = (1, 32)
LAYERS = 20
"""One convolution more than 20 equal ones is a change of close to 5 %."""

MOST_ERROR, HELD = 0.01, 0.94
"""Asked of A/A: the median |ratio - 1|, and the share of intervals that hold 1 (47 of 50)."""

LONG = 5
"""Openings that the true ratio is averaged over, each timed ten times as long as in the benchmark."""


@dataclass(frozen=True)
class Series:
    """Repeated measurements of one pair of files."""

    measurements: tuple[Measurement, ...]
    seconds: float

    @property
    def ratios(self) -> np.ndarray:
        """Value, low and high of each repeat: (repeats, 3)."""
        estimates = [measurement.ratio() for measurement in self.measurements]
        return np.array([(estimate.value, estimate.low, estimate.high) for estimate in estimates])

    def lines(self) -> Iterator[str]:
        """What both kinds of series have in common, a line each."""
        value, low, high = self.ratios.T
        shares = [measurement.environment["cpu_share"] for measurement in self.measurements]
        doubted = sum(bool(measurement.warnings) for measurement in self.measurements)
        slots = np.median([len(measurement.samples_ms[0]) for measurement in self.measurements])
        times = np.array([measurement.median_ms() for measurement in self.measurements])
        drift = np.std(times) / np.mean(times)
        yield f"  time of a call          {np.median(times):8.3f} ms (repeats vary by {drift:.1%})"
        yield f"  ratio                   {np.median(value):8.4f}    (standard deviation {np.std(value):.4f})"
        yield f"  interval, half width    {np.median(high - low) / 2:8.4f}    (widest {np.max(high - low) / 2:.4f})"
        yield f"  slots, seconds a repeat {slots:8.0f}    {self.seconds / len(times):.2f} s"
        yield f"  share of a core         {np.median(shares):8.2f}    (lowest {min(shares):.2f}); doubted: {doubted}"


def repeat(target: Target, pair: tuple[Artifact, Artifact], plan: TimingPlan, repeats: int) -> Series:
    """That many measurements, both files opened anew for each."""
    start = perf_counter()
    plans = [TimingPlan(batch=plan.batch, seconds=plan.seconds, seed=seed) for seed in range(repeats)]
    measurements = tuple(target.measure([target.load(file) for file in pair], each) for each in plans)
    return Series(measurements, perf_counter() - start)


def same(target: Target, file: Artifact, plan: TimingPlan, repeats: int) -> bool:
    """Prints the A/A figures; whether they are as asked."""
    series = repeat(target, (file, file), plan, repeats)
    value, low, high = series.ratios.T
    error, held = float(np.median(np.abs(value - 1))), int(np.sum((low <= 1) & (high >= 1)))
    good = error <= MOST_ERROR and held >= HELD * repeats
    print(f"A/A batch {plan.batch}: {'as asked' if good else 'MISSED'}")
    print(f"  median |ratio - 1|      {error:8.2%}    (asked: at most {MOST_ERROR:.0%})")
    print(f"  intervals that hold 1   {held:5d}/{repeats}   (asked: at least {HELD * repeats:.0f})")
    print(*series.lines(), sep="\n", flush=True)
    return good


def different(target: Target, folder: Path, plan: TimingPlan, repeats: int) -> bool:
    """Prints the A/B figures; whether they are as asked."""
    pair = write(conv_stack(LAYERS), folder / "a.onnx"), write(conv_stack(LAYERS + 1), folder / "b.onnx")
    longer = TimingPlan(batch=plan.batch, seconds=10 * plan.seconds)
    truth = float(np.mean(repeat(target, pair, longer, LONG).ratios[:, 0]))
    series = repeat(target, pair, plan, repeats)
    _, low, high = series.ratios.T
    detected, held = int(np.sum(low > 1)), int(np.sum((low <= truth) & (high >= truth)))
    good = detected >= 0.9 * repeats
    print(f"A/B batch {plan.batch}: {'as asked' if good else 'MISSED'}; true ratio {truth:.4f}, measured longer")
    print(f"  detected                {detected:5d}/{repeats}   (asked: at least {0.9 * repeats:.0f})")
    print(f"  intervals that hold it  {held:5d}/{repeats}")
    print(*series.lines(), sep="\n", flush=True)
    return good


def main() -> int:
    """Run the benchmark; 0 where all figures are as asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--runtime", default=DEFAULT_TARGET, help="one whose target has threads and clock as options")
    parser.add_argument("--model", type=Path, help="ONNX file for A/A; a stack of 20 convolutions where not given")
    parser.add_argument(
        "--url", help="of the agent, for a runtime that is elsewhere; its threads and clock are its own"
    )
    parser.add_argument("--ab", action="store_true", help="also the pair that differs by 5 %%")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("processor", "wall"), help="the target's own choice where not given")
    parser.add_argument("--seconds", type=float, default=TimingPlan.seconds, help="of each session in a repeat")
    options = parser.parse_args()
    runtime = plugin("target", options.runtime)
    given = {"threads": options.threads, "clock": options.clock} if options.url is None else {"url": options.url}
    target = runtime(runtime.Options(**given))
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = artifact(options.model) if options.model else write(conv_stack(LAYERS), folder / "aa.onnx")
        for batch in BATCHES:
            plan = TimingPlan(batch=batch, seconds=options.seconds)
            good &= same(target, file, plan, options.repeats)
            if options.ab:
                good &= different(target, folder, plan, options.repeats)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
