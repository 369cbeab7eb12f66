"""The policy of a network: by layer, the filters kept of how many, and the precision. Neutral settings are left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moco.errors import SpaceError
from moco.policy import Policy
from moco.suggest import nearest

FLOAT32, INT8 = "float32", "int8"
BITS = {FLOAT32: 32, INT8: 8}
FORMAT = 1

NEUTRAL = Policy.of({})
"""Changes nothing."""


def policy_of(widths: Mapping[str, tuple[int, int]], precisions: Mapping[str, str]) -> Policy:
    """The policy that keeps `kept of channels` filters per channel group, and sets precisions per layer."""
    settings: dict[str, dict[str, Any]] = {}
    for name, (kept, channels) in widths.items():
        if kept < channels:
            settings.setdefault(name, {})["filter_pruning"] = {"keep": kept, "of": channels}
    for name, precision in precisions.items():
        if precision != FLOAT32:
            settings.setdefault(name, {})["precision"] = precision
    return Policy.of(settings)


def widths_of(policy: Policy) -> dict[str, int]:
    """Filters kept by channel group; groups that stay whole are left out."""
    return {
        name: setting["filter_pruning"]["keep"]
        for name, setting in policy.settings.items()
        if "filter_pruning" in setting
    }


def precisions_of(policy: Policy) -> dict[str, str]:
    """Precision by layer; layers in float32 are left out."""
    return {name: setting["precision"] for name, setting in policy.settings.items() if "precision" in setting}


def policy_file(policy: Policy, network: str) -> dict[str, Any]:
    """The policy as it is written to policy.json."""
    return {"format": FORMAT, "network": network, "groups": policy.settings}


def read_policy(path: Path) -> Policy:
    """The policy in a policy.json, checked for form; whether it fits a network shows when it is applied.

    Raises:
        SpaceError: the file is missing, malformed, or of another format.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpaceError(f"{path}: expected a policy in JSON: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("groups"), dict):
        raise SpaceError(f"{path}: expected {{'format': {FORMAT}, 'network': …, 'groups': {{…}}}}")
    return checked_policy(data["groups"], f"{path}: groups")


def checked_policy(groups: Mapping[str, Any], where: str = "policy") -> Policy:
    """The policy of settings by layer, checked for form.

    Raises:
        SpaceError: a setting is not what a policy.json holds; its layer is named.
    """
    for name, setting in groups.items():
        _check(setting, f"{where}.{name}")
    widths = {
        name: (setting["filter_pruning"]["keep"], setting["filter_pruning"]["of"])
        for name, setting in groups.items()
        if "filter_pruning" in setting
    }
    return policy_of(widths, {name: setting["precision"] for name, setting in groups.items() if "precision" in setting})


def _check(setting: object, where: str) -> None:
    if not isinstance(setting, Mapping):
        raise SpaceError(f"{where}: expected a mapping, got {setting!r}")
    for key in setting:
        if key not in {"filter_pruning", "precision"}:
            raise SpaceError(f"{where}: unknown setting '{key}'{nearest(key, ('filter_pruning', 'precision'))}")
    precision = setting.get("precision", FLOAT32)
    if not isinstance(precision, str) or precision not in BITS:
        raise SpaceError(f"{where}.precision: expected one of {', '.join(BITS)}, got {precision!r}")
    if "filter_pruning" in setting and not _is_width(setting["filter_pruning"]):
        raise SpaceError(
            f"{where}.filter_pruning: expected {{keep: k, of: n}} with 1 <= k <= n, got {setting['filter_pruning']!r}"
        )


def _is_width(pruning: object) -> bool:
    """Whether it is {keep: k, of: n} with whole numbers 1 <= k <= n."""
    if not isinstance(pruning, Mapping) or set(pruning) != {"keep", "of"}:
        return False
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in pruning.values()):
        return False
    return bool(1 <= pruning["keep"] <= pruning["of"])
