"""Policies in words: channels kept and precision, layer by layer, group by group or all in a few words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from moco.policy import plain_words
from moco.run_folder.manifest import GroupRecord, LayerRecord
from moco.setting_owners import removed_by, words_of

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
    kept = (int(method["keep"]) for method in settings.values() if _is_of_channels(method, original))
    return next(kept, original)


def precision(settings: Any) -> str:
    """Precision of a layer."""
    return str(settings.get("precision", FULL_PRECISION)) if isinstance(settings, Mapping) else FULL_PRECISION


def in_short(policy: Mapping[str, Any] | None, layers: Sequence[LayerRecord]) -> str:
    """A whole policy in a few words, for example `61 % channels, int8 on 12 of 21 layers`.

    `layers` are those of the uncompressed network; the share of channels is of all output channels of those that stay.
    """
    settings = layer_settings(policy)
    if not all(isinstance(setting, Mapping) for setting in settings.values()):
        return ", ".join(describe_groups(policy, [], limit=3))
    removing = {name for name, setting in settings.items() if removed_by({name: setting})}
    layers, left = staying(layers, settings), {n: s for n, s in settings.items() if n not in removing}
    parts = [_left_out(len(removing)), _channels(left, layers), *_others(left, layers), _precisions(left, layers)]
    return ", ".join(part for part in parts if part) or UNCHANGED


def staying(layers: Sequence[LayerRecord], settings: Mapping[str, Any]) -> list[LayerRecord]:
    """The layers that no setting of the policy removes."""
    gone = tuple(f"{module}." for module in removed_by(settings))
    return [layer for layer in layers if not f"{layer.name}.".startswith(gone)]


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
    branches = [name for name in group.layers if removed_by({name: settings.get(name, {})})]
    if branches:
        return f"{len(branches)} of {len(group.layers)} left out"
    gone = tuple(f"{module}." for module in removed_by(settings))
    if group.layers and all(f"{layer}.".startswith(gone) for layer in group.layers):
        return "left out"
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


def _is_of_channels(method: Any, original: int | None) -> bool:
    # other methods keep a share of a layer's weights
    return isinstance(method, Mapping) and "keep" in method and method.get("of") == original


def _left_out(count: int) -> str:
    return "" if count == 0 else "1 branch left out" if count == 1 else f"{count} branches left out"


def _channels(settings: Mapping[str, Any], layers: Sequence[LayerRecord]) -> str:
    widths = [(layer.group or layer.name, layer.out_channels) for layer in layers if layer.out_channels is not None]
    kept = sum(kept_channels(settings.get(name, {}), width) for name, width in widths)
    total = sum(width for _, width in widths)
    return "" if kept == total else f"{100 * kept / total:.0f} % channels"


def _others(settings: Mapping[str, Any], layers: Sequence[LayerRecord]) -> list[str]:
    """What neither removes channels nor is a precision: the share that it keeps, or of how many layers it is."""
    widths = {layer.group or layer.name: layer.out_channels for layer in layers}
    found: dict[str, list[Any]] = {}
    for name, setting in settings.items():
        for key, value in _without_precision(setting).items():
            if not _is_of_channels(value, widths.get(name)):
                found.setdefault(key, []).append(value)
    return [f"{key.replace('_', ' ')} {_amount(values)}" for key, values in found.items()]


def _amount(values: Sequence[Any]) -> str:
    if all(isinstance(value, Mapping) and {"keep", "of"} <= value.keys() for value in values):
        return f"{100 * sum(value['keep'] for value in values) / sum(value['of'] for value in values):.0f} %"
    return "on 1 layer" if len(values) == 1 else f"on {len(values)} layers"


def _precisions(settings: Mapping[str, Any], layers: Sequence[LayerRecord]) -> str:
    counts = Counter(str(setting["precision"]) for setting in settings.values() if "precision" in setting)
    total = max(len(layers), counts.total())
    if set(counts.values()) == {total}:
        return next(iter(counts))
    on = ", ".join(f"{kind} on {count}" for kind, count in counts.items())
    return f"{on} of {total} layers" if on else ""
