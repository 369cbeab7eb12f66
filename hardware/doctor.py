"""What this machine can run and measure, for `moco doctor`: each finding with what to do about it. Needs no torch."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from moco.errors import MocoError
from moco.hardware.measuring.processor import processor
from moco.hardware.measuring.timing import MAX_SELF_RATIO
from moco.measurement import TimingPlan

LIBRARIES = ("torch", "torchvision", "onnx", "onnxscript", "optuna", "mlflow", "optuna-dashboard")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
POWERCAP = Path("/sys/class/powercap")
NVIDIA = Path("/dev/nvidiactl")

MIN_DISK_GB = 2.0
"""A long search writes some hundred files of a few MB, its ledger and its tracker's store."""

MAX_TICK_NS = 10_000
"""A clock that ticks no finer than this cannot time a call of 1 ms to 1 %."""

AA_PLAN = TimingPlan(seconds=0.5)
"""A second in all: half a second for each of the two sessions."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        ok: whether it is there and good enough.
        detail: what was found, in words and numbers.
        advice: what to do where it is not ok; else empty.
    """

    name: str
    ok: bool
    detail: str
    advice: str = ""


def probe(folder: Path | None = None) -> tuple[Finding, ...]:
    """All findings on this machine, in the order to show them; takes about two seconds.

    Args:
        folder: where runs will be written; the current folder where None.
    """
    checks: tuple[Callable[[], Finding], ...] = (
        _processor,
        _int8,
        _load,
        _clock,
        _onnxruntime,
        _timing,
        _energy,
        lambda: _disk(folder or Path.cwd()),
        _browser,
    )
    return (*(check() for check in checks), *_libraries())


def _processor() -> Finding:
    sets = ", ".join(processor().instruction_sets) or "instruction sets unknown"
    return Finding("processor", True, f"{processor().name}, {processor().cores} cores, {sets}")


def _int8() -> Finding:
    if processor().int8_exact:
        return Finding("int8", True, "8-bit dot-product instructions present")
    advice = "expect smaller gains of int8, and compare its accuracy on this machine with that elsewhere"
    return Finding("int8", False, "no 8-bit dot-product instructions: slow, and sums may saturate on x86", advice)


def _load() -> Finding:
    if not hasattr(os, "getloadavg"):
        return Finding("load", True, "this system reports no load average")
    load, cores = os.getloadavg()[0], processor().cores
    busy = load > cores - 0.5
    advice = "end other programs before a search: timings need a core of their own" if busy else ""
    return Finding("load", not busy, f"load average {load:.2f} on {cores} cores", advice)


def _clock() -> Finding:
    tick = min(_ticks(1000))
    fine = tick <= MAX_TICK_NS
    return Finding("clock", fine, f"resolves {tick} ns", "" if fine else "time larger batches: the clock is coarse")


def _ticks(n: int) -> Iterator[int]:
    """The n smallest visible steps of the clock, in ns."""
    for _ in range(n):
        start = now = time.perf_counter_ns()
        while now == start:
            now = time.perf_counter_ns()
        yield now - start


def _onnxruntime() -> Finding:
    try:
        from moco.hardware.onnxruntime import ONNXRuntimeTarget

        target = ONNXRuntimeTarget()
    except (ImportError, MocoError) as error:
        return Finding("onnxruntime", False, f"cannot be used: {error}", "install onnxruntime")
    facts, can = target.describe(), target.capabilities
    widths = ", ".join(f"{p} (widths: multiples of {can.channel_multiples[p]})" for p in can.precisions)
    metrics = ", ".join(sorted(can.metrics))
    return Finding("onnxruntime", True, f"{facts['version']}, {facts['threads']} thread; {widths}; measures {metrics}")


def _timing() -> Finding:
    """A network against itself: whatever differs from 1 is the machine's doing."""
    try:
        from moco.hardware.measuring.probe_model import conv_stack, write
        from moco.hardware.onnxruntime import ONNXRuntimeTarget

        target = ONNXRuntimeTarget()
        with tempfile.TemporaryDirectory() as folder:
            artifact = write(conv_stack(), Path(folder) / "probe.onnx")
            with closing(target.load(artifact)) as first, closing(target.load(artifact)) as second:
                measurement = target.measure([first, second], AA_PLAN)
    except (ImportError, MocoError) as error:
        return Finding("timing", False, f"could not be checked: {error}", "make onnxruntime work first")
    ratio = measurement.ratio()
    detail = f"a file against itself: {ratio.value:.3f} (interval {ratio.low:.3f} to {ratio.high:.3f})"
    detail = "; ".join((detail, *measurement.warnings))
    if ratio.holds(1.0) and abs(ratio.value - 1) <= MAX_SELF_RATIO:
        return Finding("timing", True, detail)
    return Finding("timing", False, detail, "wait until the machine is idle, then ask again")


def _energy() -> Finding:
    rapl = sorted(POWERCAP.glob("*/energy_uj")) if POWERCAP.is_dir() else []
    seen = [f"{len(rapl)} RAPL counters"] if rapl else ["no RAPL counter (virtual machines rarely have one)"]
    if rapl and not os.access(rapl[0], os.R_OK):
        seen = [f"{len(rapl)} RAPL counters, not readable by this user"]
    seen.append("an NVIDIA device" if NVIDIA.exists() else "no NVIDIA device")
    advice = "leave energy_j and power_w out of the objective, or let them be dropped; no target reads a counter yet"
    return Finding("energy", False, f"{' and '.join(seen)}: energy is not measured", advice)


def _disk(folder: Path) -> Finding:
    free_gb = shutil.disk_usage(folder).free / 1e9
    enough = free_gb >= MIN_DISK_GB
    return Finding("disk", enough, f"{free_gb:.1f} GB free", "" if enough else "free some space, or choose --out")


def _browser() -> Finding:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found:
        return Finding("browser", True, Path(found).name)
    return Finding("browser", False, "no Chromium", "only the test of the HTML report needs one: install chromium")


def _libraries() -> Iterator[Finding]:
    for name in LIBRARIES:
        try:
            yield Finding(name, True, version(name))
        except PackageNotFoundError:
            yield Finding(name, False, "not installed", f"install {name}")
