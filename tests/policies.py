"""Policies written by hand, for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import nn

from moco.compression.methods.channel_pruning import ChannelPruning
from moco.compression.methods.factorisation import read_ranks, setting_of
from moco.compression.methods.filter_pruning import FilterPruning
from moco.compression.methods.low_rank import STEM_CHANNELS, FactorKind, Ranks, no_factors
from moco.compression.methods.quantization import setting_of as quantized
from moco.compression.methods.sparsity import Sparsity
from moco.compression.policy_settings import bits_of
from moco.compression.precision import BITS, Bits, precision_of
from moco.compression.space.context import Draft
from moco.policy import Policy


def policy_of(
    widths: Mapping[str, tuple[int, int]],
    precisions: Mapping[str, str | Bits],
    refitted: Collection[str] = (),
    factors: Mapping[str, Ranks] | None = None,
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
    draft = Draft()
    for name, (kept, of) in widths.items():
        method = ChannelPruning() if name in refitted else FilterPruning()
        draft.set(name, method.canonical({method.name: {"keep": kept, "of": of}}))
    for name, ranks in (factors or {}).items():
        draft.set(name, setting_of(ranks))
    for name, (kept, of) in (weights_kept or {}).items():
        draft.set(name, Sparsity().canonical({Sparsity.name: {"keep": kept, "of": of}}))
    for name, precision in precisions.items():
        draft.set(name, quantized(BITS[precision] if isinstance(precision, str) else precision))
    return Policy.of(draft.settings)


def factors_of(policy: Policy) -> dict[str, Ranks]:
    """Ranks by layer; layers that stay whole are left out."""
    found = {name: read_ranks(setting) for name, setting in policy.settings.items()}
    return {name: ranks for name, ranks in found.items() if ranks is not None}


def weights_kept_of(policy: Policy) -> dict[str, int]:
    """Weights kept by layer; layers that keep all are left out."""
    key = Sparsity.name
    return {name: setting[key]["keep"] for name, setting in policy.settings.items() if key in setting}


def why_not(layer: nn.Module, method: FactorKind) -> str | None:
    """Why a method should leave a layer of the original network alone; None where it may be factorised (S1.44)."""
    reason = no_factors(layer, method)
    if reason is None and isinstance(layer, nn.Conv2d) and layer.in_channels <= STEM_CHANNELS:
        return f"it reads {layer.in_channels} channels, too few to be cut"
    return reason


def precisions_of(policy: Policy) -> dict[str, str]:
    """Precision by layer, `mixed` where its bits are not 8 and 8; layers in float32 are left out."""
    return {name: precision_of(bits) for name, bits in bits_of(policy).items()}
