"""What a search was asked to do, from its manifest and result, as names and short texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moco.report.formatting import NOT_AVAILABLE, seconds

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def asked(result: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, str]:
    """Network, data, target, protocol, floor and bounds, space, searcher, budget and seed; absent ones as n/a."""
    config = manifest.get("config") or {}
    objective = config.get("objective") or {}
    pairs = {
        "Network": network_name(manifest) or NOT_AVAILABLE,
        "Data": _data(manifest),
        "Target": _named(config.get("target"), "runtime"),
        "Protocol": str((result.get("objective") or {}).get("protocol") or objective.get("protocol") or NOT_AVAILABLE),
        "Floor": plain(objective.get("floor")) if objective.get("floor") is not None else None,
        "Bounds": plain(objective.get("constraints")) if objective.get("constraints") else None,
        "Space": _space(result),
        "Searcher": _named(config.get("searcher") or result["searcher"], "name"),
        "Budget": _budget(result, config),
        "Trials": _trials(result),
        "Starts": _starts(result),
        "Seed": str(result["seed"]),
    }
    return {name: text for name, text in pairs.items() if text is not None}


def network_name(manifest: Mapping[str, Any]) -> str | None:
    """The network's name, None where the manifest has none."""
    name = (manifest.get("network") or {}).get("name")
    return None if name is None else str(name)


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


def _data(manifest: Mapping[str, Any]) -> str:
    source = ((manifest.get("config") or {}).get("data") or {}).get("source")
    splits = (manifest.get("data") or {}).get("splits") or {}
    images = [f"{split['images']:,} {name}" for name, split in splits.items() if split.get("images") is not None]
    parts = [str(source)] if source is not None else []
    parts += [f"{', '.join(images)} images"] if images else []
    return ": ".join(parts) or NOT_AVAILABLE


def _space(result: Mapping[str, Any]) -> str:
    space = result.get("space") or {}
    groups, policies = space.get("groups"), space.get("policies")
    parts = [] if groups is None else [f"{len(groups)} layer groups"]
    if policies is not None:
        parts.append(f"{'' if space.get('policies_exact', True) else 'at most '}{_count(policies)} policies")
    return ", ".join(parts) or NOT_AVAILABLE


def _budget(result: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    budget = result.get("budget") or config.get("budget") or {}
    parts = [f"{budget['trials']} trials"] if budget.get("trials") is not None else []
    parts += [seconds(budget["seconds"])] if budget.get("seconds") is not None else []
    return " or ".join(parts) or NOT_AVAILABLE


def _trials(result: Mapping[str, Any]) -> str:
    parts = [f"{result['trials']} told"]
    parts += [f"{result['given']} of them given beside the budget"] if result.get("given") else []
    parts += [f"{result[name]} {name}" for name in ("distinct", "feasible") if result.get(name) is not None]
    return ", ".join(parts)


def _starts(result: Mapping[str, Any]) -> str | None:
    """Which starts counted in the budget and which were given; None where the result does not say or has none."""
    starts = result.get("starts") or []
    parts = []
    for counted, words in ((True, "counted in the budget"), (False, "given")):
        names = [str(start["name"]) for start in starts if start["counted"] is counted]
        if names:
            parts.append(f"{len(names)} {words}: {', '.join(names)}")
    return "; ".join(parts) or None


def _named(value: Any, key: str) -> str:
    """`nsga2 (population: 20)` for a mapping that holds its own name under `key`."""
    if not isinstance(value, Mapping) or key not in value:
        return plain(value)
    options = plain({name: option for name, option in value.items() if name != key})
    return f"{value[key]} ({options})" if options else str(value[key])


def _count(number: float | str) -> str:
    """A count for people; beyond a million in powers of ten."""
    if isinstance(number, str):
        return number
    if number < 1e6:
        return f"{number:,.0f}"
    mantissa, exponent = f"{number:.1e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
