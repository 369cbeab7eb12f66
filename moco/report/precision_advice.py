"""What the precision rule says of a policy's bits, in one line (S4.06, moco.precision_rule)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from moco.errors import SpaceError
from moco.precision_rule import headroom, least_levels
from moco.report.policy_text import layer_settings
from moco.run_folder.manifest import LayerRecord
from moco.setting_owners import method_of

USUAL_BITS = 8
"""These have levels enough for any layer: 256 against 6.6 of a layer of three billion weights."""


def precision_advice(policy: Mapping[str, Any] | None, layers: Sequence[LayerRecord]) -> str | None:
    """Of the layers with fewer bits than usual, the one whose levels are the fewest for its weights; None without one.

    A layer's weights are counted in the uncompressed network, with its bias: pruned, it needs a little less.
    """
    settings = layer_settings(policy)
    found = [
        (layer, bits)
        for layer in layers
        for bits in _weight_bits(settings.get(layer.name))
        if bits < USUAL_BITS and layer.parameters
    ]
    if not found:
        return None
    layer, bits = min(found, key=lambda pair: headroom(pair[1], pair[0].parameters or 1))
    shown = "1 bit" if bits == 1 else f"{bits} bits"
    return (
        f"{layer.name} has the fewest levels for its size: weights of {shown}: {2**bits} levels against "
        f"{least_levels(layer.parameters or 1):.1f} (S4.06); many more than that keep the direction of the weights"
    )


def _weight_bits(settings: Any) -> Iterator[int]:
    """Those of a layer's settings that say some, as far as their methods are installed here."""
    for key, value in settings.items() if isinstance(settings, Mapping) else ():
        try:
            bits = method_of(key).bits({key: value})
        except SpaceError:
            continue
        if bits is not None:
            yield bits.weights
