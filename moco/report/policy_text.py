"""Policies in words: channels kept and precision, layer by layer or group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from moco.policy import plain_words
from moco.run_folder.manifest import GroupRecord
from moco.setting_owners import words_of

UNCHANGED = "unchanged"
FULL_PRECISION = "float32"


def layer_settings(policy: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings by layer of a policy, given bare or as the content of policy.json."""
    if not policy:
        return {}
    bare = policy["groups"] if "groups" in policy and "format" in policy else policy
    return dict(bare)


def kept_channels(settings: Mapping[str, Any], original: int) -> int:
    """Output channels of a layer that stay; the original ones where no method removed any."""
    for method in settings.values():
        if isinstance(method, Mapping) and {"keep", "of"} <= method.keys():
            return int(method["keep"])
    return original


def precision(settings: Any) -> str:
    """Precision of a layer."""
    return str(settings.get("precision", FULL_PRECISION)) if isinstance(settings, Mapping) else FULL_PRECISION


def describe(settings: Any) -> str:
    """One layer's settings in a few words, for example `12/16 int8`."""
    if not isinstance(settings, Mapping):
        return UNCHANGED if settings is None else plain_words(settings)
    parts = [words_of(name, value) for name, value in settings.items() if name != "precision"]
    if "precision" in settings:
        parts.append(str(settings["precision"]))
    return " ".join(parts) or UNCHANGED


def describe_groups(
    policy: Mapping[str, Any] | None, groups: Sequence[GroupRecord], limit: int | None = None
) -> list[str]:
    """One line a layer group; neighbours with the same settings share a line, lines beyond `limit` are counted."""
    settings = layer_settings(policy)
    named = [(group.name, _of_group(group, settings)) for group in groups]
    if not named:
        named = [(name, describe(value)) for name, value in settings.items()]
    lines = []
    for text, run in groupby(named, key=lambda pair: pair[1]):
        names = [name for name, _ in run]
        lines.append(f"{names[0]}: {text}" if len(names) == 1 else f"{names[0]} … {names[-1]}: {text}")
    if limit is not None and len(lines) > limit:
        return [*lines[: limit - 1], f"… and {len(lines) - limit + 1} more"]
    return lines


def _of_group(group: GroupRecord, settings: Mapping[str, Any]) -> str:
    names = [*group.layers, group.name]
    present = [settings[name] for name in names if name in settings]
    changes = dict.fromkeys(describe(_without_precision(setting)) for setting in present)
    precisions = dict.fromkeys(precision(setting) for setting in present)
    words = [text for text in changes if text != UNCHANGED]
    kinds = [kind for kind in precisions if precisions.keys() != {FULL_PRECISION}]
    return " ".join(part for part in (", ".join(words), "/".join(kinds)) if part) or UNCHANGED


def _without_precision(setting: Any) -> Any:
    if not isinstance(setting, Mapping):
        return setting
    return {name: value for name, value in setting.items() if name != "precision"}
