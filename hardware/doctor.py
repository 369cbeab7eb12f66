"""What this machine can run and measure, for `moco doctor`: each finding with what to do about it. Needs no torch."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from moco.errors import MeasurementError, MocoError
from moco.hardware.measuring.condition import STEADY, Condition, condition
from moco.hardware.measuring.metering import part_of
from moco.hardware.measuring.processor import processor
from moco.hardware.measuring.timing import MAX_SELF_RATIO
from moco.hardware.packages import PACKAGES, Package, import_faults, package_findings
from moco.interfaces import Finding, Target
from moco.measurement import TimingPlan
from moco.optional import EXTRAS, installed
from moco.registry import BUILT_IN, DEFAULT_TARGET, blaming, clash, module_of, names, plugin

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")

MIN_DISK_GB = 2.0  # a long search writes some hundred files of a few MB, its ledger and its tracker's store
MAX_TICK_NS = 10_000  # a clock that ticks no finer than this cannot time a call of 1 ms to 1 %
AA_PLAN = TimingPlan(seconds=0.5)  # a second in all: half a second for each of the two sessions


def probe(folder: Path | None = None, packages: Sequence[Package] | None = None) -> tuple[Finding, ...]:
    """All findings, in the order to show them; runs will be written to `folder` or here.

    Takes about two seconds, and for all packages some ten more: each is imported in a process of its own.
    """
    first = [check() for check in (_processor, _int8, _load, _clock, condition_finding)]
    modules = {name: module_of("target", name) for name in _targets()}
    once = list(dict.fromkeys(modules.values()))
    faults = dict(zip(once, import_faults([f"import {module}" for module in once]), strict=True))
    targets = [finding for name, module in modules.items() for finding in _of_target(name, faults[module])]
    clashes = [clash(kind, name) for kind in BUILT_IN for name in names(kind)]
    doubled = [Finding("plug-ins", False, text, "rename or uninstall one") for text in clashes if text]
    last = [_timing(faults[modules[DEFAULT_TARGET]]), _energy(), _disk(folder or Path.cwd()), _browser()]
    return (
        *first,
        *targets,
        *doubled,
        *last,
        *package_findings(PACKAGES if packages is None else packages),
    )  # these last: they keep the machine busy


def probe_elsewhere(url: str) -> tuple[Finding, ...]:
    """What the agent at that address says of its device; a ConfigError refuses the address."""
    from moco.hardware.remote import RemoteOptions, RemoteTarget

    return RemoteTarget(RemoteOptions(url)).findings()


def _processor() -> Finding:
    sets = ", ".join(processor().instruction_sets) or "instruction sets unknown"
    return Finding("processor", True, f"{processor().name}, {processor().cores} cores, {sets}")


def _int8() -> Finding:
    if processor().int8_exact:
        return Finding("int8", True, "8-bit dot-product instructions present")
    advice = "expect smaller gains of int8; files from elsewhere have weights of 8 bits, whose sums may overflow here"
    return Finding("int8", False, "no 8-bit dot-product instructions: slow, and weights have 7 bits", advice)


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


def condition_finding(now: Condition | None = None) -> Finding:
    """Whether the processor's clock is left alone, and how fast and how warm it is."""
    now = now or condition()
    clock = "clock unknown" if now.clock_mhz is None else f"{now.clock_mhz:g} MHz"
    warmth = "temperature unknown" if now.temperature_c is None else f"{now.temperature_c:g} °C"
    steady = now.governor in {None, STEADY}
    governor = "no governor to be seen" if now.governor is None else f"governor '{now.governor}'"
    advice = "" if steady else f"set the governor to {STEADY}: sudo cpupower frequency-set -g {STEADY}"
    return Finding("condition", steady, f"{governor}, {clock}, {warmth}", advice)


def _ticks(n: int) -> Iterator[int]:
    """The n smallest visible steps of the clock, in ns."""
    for _ in range(n):
        start = now = time.perf_counter_ns()
        while now == start:
            now = time.perf_counter_ns()
        yield now - start


def _targets() -> list[str]:
    """Names of all targets, moco's own first."""
    return sorted(names("target"), key=lambda name: name not in BUILT_IN["target"])


def _of_target(name: str, fault: str | None) -> tuple[Finding, ...]:
    """What the target says of itself, with its defaults; its `fault` where it cannot be imported."""
    if fault is not None:  # importing it here too might end this process
        packages = [package for package, extra in EXTRAS.items() if extra == name]  # a runtime's extra bears its name
        if all(map(installed, packages)):
            return (Finding(name, False, fault, f"install {name}"),)
        return (Finding(name, False, "not installed: needed for the target", f"pip install 'moco[{name}]'"),)
    try:
        with blaming("cannot be used"):  # a package of somebody else's may fail in any way
            target: Target = plugin("target", name)()
            return target.findings()
    except MocoError as error:
        return (Finding(name, False, str(error), f"install {name}"),)


def _timing(fault: str | None = None) -> Finding:
    """A network against itself, on the usual target: whatever differs from 1 is the machine's doing."""
    name = DEFAULT_TARGET
    try:
        if fault is not None:
            raise MeasurementError(fault)
        from moco.hardware.measuring.probe_model import conv_stack, write

        target: Target = plugin("target", name)()
        target.connect()
        with tempfile.TemporaryDirectory() as folder:
            artifact = write(conv_stack(), Path(folder) / "probe.onnx")
            with closing(target.load(artifact)) as first, closing(target.load(artifact)) as second:
                measurement = target.measure([first, second], AA_PLAN)
    except (ImportError, MocoError) as error:
        return Finding("timing", False, f"could not be checked: {error}", f"make {name} work first")
    ratio = measurement.ratio()
    detail = f"a file against itself: {ratio.value:.3f} (interval {ratio.low:.3f} to {ratio.high:.3f})"
    detail = "; ".join((detail, *measurement.warnings))
    if ratio.holds(1.0) and abs(ratio.value - 1) <= MAX_SELF_RATIO and not measurement.warnings:
        return Finding("timing", True, detail)
    return Finding("timing", False, detail, "wait until the machine is idle, then ask again")


def _energy() -> Finding:
    lacks = _counters()
    if readable := readable_counters(lacks):
        return Finding("energy", True, f"measured where a search names a counter: `target.counters: {readable}`")
    advice = "leave energy_j and power_w out of the objective, or let them be dropped"
    return Finding("energy", False, f"energy is not measured: {'; '.join(lacks.values())}", advice)


def readable_counters(lacks: Mapping[str, str] | None = None) -> list[str]:
    """Names of the energy counters that can be read here, one for each part of the machine."""
    readable = [name for name, reason in (_counters() if lacks is None else lacks).items() if not reason]
    by_part: dict[str, str] = {}
    for name in readable:
        by_part.setdefault(part_of(plugin("counter", name)) or name, name)
    return list(by_part.values())


def _counters() -> dict[str, str]:
    """By counter why it cannot be read here; empty where it can."""
    return {name: _lack(name) for name in names("counter")}


def _lack(counter: str) -> str:
    """Why the counter cannot be read here; empty where it can."""
    try:
        with blaming(f"{counter} cannot be used"):
            return str(plugin("counter", counter)().available())
    except MocoError as error:
        return str(error)


def _disk(folder: Path) -> Finding:
    free_gb = shutil.disk_usage(folder).free / 1e9
    enough = free_gb >= MIN_DISK_GB
    return Finding("disk", enough, f"{free_gb:.1f} GB free", "" if enough else "free some space, or choose --out")


def _browser() -> Finding:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found:
        return Finding("browser", True, Path(found).name)
    return Finding("browser", False, "no Chromium", "only the test of the HTML report needs one: install chromium")
