"""The policy of a network: what is done to each layer, as JSON and as values. Neutral settings are left out.

| setting of a layer | what it says |
|---|---|
| `filter_pruning: {keep, of}` | filters kept of the channel group of that name, ranked as the search says |
| `channel_pruning: {keep, of}` | the same, ranked by activation, and their readers are refitted (S1.41, S1.42) |
| `tucker: {ranks: [in, out]}` | the convolution becomes three (S1.43) |
| `svd: {rank}` | the linear layer or 1x1 convolution becomes two (S4.05) |
| `sparsity: {keep, of}` | weights kept of the layer, after its channels are pruned (S4.02) |
| `precision: int8` | 8-bit weights and activations |
| `quantization: {weight_bits, activation_bits}` | 1 to 8 bits each |
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moco.compression.methods.factorisation import SvdRank, TuckerRanks
from moco.errors import CompressionError, SpaceError
from moco.policy import Policy
from moco.suggest import nearest

FLOAT32, INT8, MIXED = "float32", "int8", "mixed"
FORMAT = 1

NEUTRAL = Policy.of({})
"""Changes nothing."""


@dataclass(frozen=True)
class Bits:
    """Bits of a layer's weights and of the activations that it reads: 1 to 8 each, or 32 and 32 for float.

    Raises:
        CompressionError: another number of bits.
    """

    weights: int
    activations: int

    def __post_init__(self) -> None:
        """Check the numbers."""
        if (self.weights, self.activations) == (32, 32):
            return
        for what, bits in (("weights", self.weights), ("activations", self.activations)):
            if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 8:
                raise CompressionError(f"quantization: expected 1 to 8 bits for {what}, got {bits!r}")


FLOAT_BITS, INT8_BITS = Bits(32, 32), Bits(8, 8)
BITS = {FLOAT32: FLOAT_BITS, INT8: INT8_BITS}


Factors = TuckerRanks | SvdRank


def policy_of(
    widths: Mapping[str, tuple[int, int]],
    precisions: Mapping[str, str | Bits],
    refitted: Collection[str] = (),
    factors: Mapping[str, Factors] | None = None,
    weights_kept: Mapping[str, tuple[int, int]] | None = None,
) -> Policy:
    """The policy with these settings; those that change nothing are left out.

    Args:
        widths: (kept, of) filters by channel group.
        precisions: by layer, a precision's name or its bits.
        refitted: the channel groups of `widths` that are channel pruning instead of filter pruning.
        factors: ranks by layer.
        weights_kept: (kept, of) weights by layer.
    """
    settings: dict[str, dict[str, Any]] = {}
    for name, (kept, channels) in widths.items():
        if kept < channels:
            method = "channel_pruning" if name in refitted else "filter_pruning"
            settings.setdefault(name, {})[method] = {"keep": kept, "of": channels}
    for name, ranks in (factors or {}).items():
        settings.setdefault(name, {}).update(_factors_json(ranks))
    for name, (kept, weights) in (weights_kept or {}).items():
        if kept < weights:
            settings.setdefault(name, {})["sparsity"] = {"keep": kept, "of": weights}
    for name, precision in precisions.items():
        bits = BITS[precision] if isinstance(precision, str) else precision
        if bits == INT8_BITS:
            settings.setdefault(name, {})["precision"] = INT8
        elif bits != FLOAT_BITS:
            found = {"weight_bits": bits.weights, "activation_bits": bits.activations}
            settings.setdefault(name, {})["quantization"] = found
    return Policy.of(settings)


def widths_of(policy: Policy) -> dict[str, int]:
    """Filters kept by channel group, by either kind of pruning; groups that stay whole are left out."""
    return {name: kept for name, (kept, _) in pruned(policy).items()}


def pruned(policy: Policy) -> dict[str, tuple[int, int]]:
    """(kept, of) filters by channel group, by either kind of pruning; groups that stay whole are left out."""
    found = {}
    for name, setting in policy.settings.items():
        for method in ("filter_pruning", "channel_pruning"):
            if method in setting:
                found[name] = setting[method]["keep"], setting[method]["of"]
    return found


def refitted_of(policy: Policy) -> frozenset[str]:
    """The channel groups whose readers are refitted."""
    return frozenset(name for name, setting in policy.settings.items() if "channel_pruning" in setting)


def factors_of(policy: Policy) -> dict[str, Factors]:
    """Ranks by layer; layers that stay whole are left out."""
    found: dict[str, Factors] = {}
    for name, setting in policy.settings.items():
        if "tucker" in setting:
            found[name] = TuckerRanks(*setting["tucker"]["ranks"])
        elif "svd" in setting:
            found[name] = SvdRank(setting["svd"]["rank"])
    return found


def weights_kept_of(policy: Policy) -> dict[str, int]:
    """Weights kept by layer; layers that keep all are left out."""
    return {name: setting["sparsity"]["keep"] for name, setting in policy.settings.items() if "sparsity" in setting}


def bits_of(policy: Policy) -> dict[str, Bits]:
    """Bits by layer; layers in float32 are left out."""
    found = {}
    for name, setting in policy.settings.items():
        if "precision" in setting:
            found[name] = BITS[setting["precision"]]
        elif "quantization" in setting:
            found[name] = Bits(setting["quantization"]["weight_bits"], setting["quantization"]["activation_bits"])
    return found


def parts_of(policy: Policy, layer: str) -> tuple[str, ...]:
    """Names of the layers that stand for a layer: itself, or its factors in their order."""
    factors = factors_of(policy).get(layer)
    if factors is None:
        return (layer,)
    return tuple(f"{layer}.{part}" for part in range(3 if isinstance(factors, TuckerRanks) else 2))


def bits_by_part(policy: Policy) -> dict[str, Bits]:
    """Bits by layer, a factorised layer by its factors; layers in float32 are left out."""
    return {part: bits for layer, bits in bits_of(policy).items() for part in parts_of(policy, layer)}


def precisions_of(policy: Policy) -> dict[str, str]:
    """Precision by layer, `mixed` where its bits are not 8 and 8; layers in float32 are left out."""
    return {name: INT8 if bits == INT8_BITS else MIXED for name, bits in bits_of(policy).items()}


def policy_file(policy: Policy, network: str, ranking: str = "l1") -> dict[str, Any]:
    """The policy as it is written to policy.json, with the ranking of filters where it is not the usual one."""
    told = {} if ranking == "l1" else {"ranking": ranking}
    return {"format": FORMAT, "network": network, **told, "groups": policy.settings}


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
    given = Policy.of({name: dict(setting) for name, setting in groups.items()})
    weights = {n: (s["sparsity"]["keep"], s["sparsity"]["of"]) for n, s in given.settings.items() if "sparsity" in s}
    return policy_of(pruned(given), bits_of(given), refitted_of(given), factors_of(given), weights)


def _factors_json(factors: Factors) -> dict[str, Any]:
    if isinstance(factors, TuckerRanks):
        return {"tucker": {"ranks": [factors.rank_in, factors.rank_out]}}
    return {"svd": {"rank": factors.rank}}


_FORMS = {
    "filter_pruning": "{keep: k, of: n} with 1 <= k <= n",
    "channel_pruning": "{keep: k, of: n} with 1 <= k <= n",
    "sparsity": "{keep: k, of: n} with 1 <= k <= n",
    "tucker": "{ranks: [in, out]}, whole numbers from 1",
    "svd": "{rank: r}, a whole number from 1",
    "quantization": "{weight_bits: w, activation_bits: a}, 1 to 8 each",
    "precision": f"one of {', '.join(BITS)}",
}
_KEYS = {
    "filter_pruning": {"keep", "of"},
    "channel_pruning": {"keep", "of"},
    "sparsity": {"keep", "of"},
    "tucker": {"ranks"},
    "svd": {"rank"},
    "quantization": {"weight_bits", "activation_bits"},
}
_EXCLUSIVE = (
    ("filter_pruning", "channel_pruning"),
    ("tucker", "svd"),
    ("precision", "quantization"),
    ("tucker", "sparsity"),
    ("svd", "sparsity"),
)


def _check(setting: object, where: str) -> None:
    if not isinstance(setting, Mapping):
        raise SpaceError(f"{where}: expected a mapping, got {setting!r}")
    for key, value in setting.items():
        if key not in _FORMS:
            raise SpaceError(f"{where}: unknown setting '{key}'{nearest(key, _FORMS)}")
        if not _is_form(key, value):
            raise SpaceError(f"{where}.{key}: expected {_FORMS[key]}, got {value!r}")
    for one, other in _EXCLUSIVE:
        if one in setting and other in setting:
            raise SpaceError(f"{where}: expected '{one}' or '{other}', got both")


def _is_form(key: str, value: object) -> bool:
    """Whether the value has the setting's form."""
    if key == "precision":
        return isinstance(value, str) and value in BITS
    if not isinstance(value, Mapping) or set(value) != _KEYS[key]:
        return False
    if key == "tucker":
        return isinstance(value["ranks"], list) and len(value["ranks"]) == 2 and _from_one(*value["ranks"])
    if not _from_one(*value.values()):
        return False
    if key == "quantization":
        return all(bits <= 8 for bits in value.values())
    return key == "svd" or bool(value["keep"] <= value["of"])


def _from_one(*numbers: object) -> bool:
    return all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in numbers)
