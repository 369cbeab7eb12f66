"""What a search was asked to do, from its manifest and result, as names and short texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moco.report.formatting import NOT_AVAILABLE, seconds
from moco.run_folder.manifest import Manifest
from moco.run_folder.result import Result, TrialsAndSeconds

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def requested(result: Result, manifest: Manifest) -> dict[str, str]:
    """Network, data, target, protocol, floor and bounds, space, searcher, budget and seed; absent ones as n/a."""
    floor, constraints = (manifest.setting("objective", name) for name in ("floor", "constraints"))
    pairs = {
        "Network": manifest.network.name or NOT_AVAILABLE,
        "Data": _data(manifest),
        "Target": _named(manifest.setting("target"), "runtime"),
        "Protocol": str(result.objective.protocol or manifest.setting("objective", "protocol") or NOT_AVAILABLE),
        "Floor": plain(floor) if floor is not None else None,
        "Bounds": plain(constraints) if constraints else None,
        "Space": _space(result),
        "Base": _base(result, manifest),
        "Searcher": _named(manifest.setting("searcher") or result.searcher, "name"),
        "Budget": _budget(result, manifest),
        "Trials": _trials(result),
        "Starts": _starts(result),
        "Seed": str(result.seed),
    }
    return {name: text for name, text in pairs.items() if text is not None}


def plain(value: Any) -> str:
    """A piece of configuration in words: `name: value` pairs joined by commas, None as n/a."""
    if value is None:
        return NOT_AVAILABLE
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain(entry)}" for key, entry in value.items() if entry is not None)
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(entry) for entry in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _data(manifest: Manifest) -> str:
    source, splits = manifest.setting("data", "source"), manifest.data.splits
    images = [f"{split.images:,} {name}" for name, split in splits.items() if split.images is not None]
    parts = [str(source)] if source is not None else []
    parts += [f"{', '.join(images)} images"] if images else []
    return ": ".join(parts) or NOT_AVAILABLE


def _space(result: Result) -> str:
    space = result.space
    parts = [] if space.groups is None else [f"{len(space.groups)} layer groups"]
    if space.policies is not None:
        parts.append(f"{'' if space.policies_exact else 'at most '}{_count(space.policies)} policies")
    return ", ".join(parts) or NOT_AVAILABLE


def _base(result: Result, manifest: Manifest) -> str | None:
    """What was kept of which policy; None for a search without a base."""
    kept = result.space.kept
    return None if not kept else f"{', '.join(kept)}, kept as in {manifest.setting('space', 'base')}"


def _budget(result: Result, manifest: Manifest) -> str:
    budget = result.budget or TrialsAndSeconds.from_json(manifest.setting("budget") or {})
    parts = [f"{budget.trials} trials"] if budget.trials is not None else []
    parts += [seconds(budget.seconds)] if budget.seconds is not None else []
    parts += [f"{seconds(budget.processor_seconds)} of the processor"] if budget.processor_seconds is not None else []
    return " or ".join(parts) or NOT_AVAILABLE


def _trials(result: Result) -> str:
    parts = [f"{result.trials} finished"]
    parts += [f"{result.given} of them given beside the budget"] if result.given else []
    known = {"distinct": result.distinct, "feasible": result.feasible}
    return ", ".join([*parts, *(f"{count} {name}" for name, count in known.items() if count is not None)])


def _starts(result: Result) -> str | None:
    """Which starts counted in the budget and which were given; None where the result does not say or has none."""
    parts = []
    for counted, words in ((True, "counted in the budget"), (False, "given")):
        names = [start.name for start in result.starts if start.counted is counted]
        if names:
            parts.append(f"{len(names)} {words}: {', '.join(names)}")
    return "; ".join(parts) or None


def _named(value: Any, key: str) -> str:
    """`nsga2 (population: 20)` for a mapping that holds its own name under `key`."""
    if not isinstance(value, Mapping) or key not in value:
        return plain(value)
    options = plain({name: option for name, option in value.items() if name != key})
    return f"{value[key]} ({options})" if options else str(value[key])


def _count(number: int) -> str:
    if number < 1e6:
        return f"{number:,.0f}"
    mantissa, exponent = f"{number:.1e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
