"""Which layers kernels for few bits can run, by Galen's rules for its processor (S3.16)."""

from __future__ import annotations

from moco.compression.counting import LayerCount

IN_MULTIPLE, OUT_MULTIPLE, LEAST_SIDE = 32, 8, 2


def is_aligned(layer: LayerCount) -> bool:
    """Whether bit-serial kernels can run the layer, of the widths that it has in the whole network.

    A convolution needs input channels in multiples of 32, output channels in multiples of 8, an output of at least 2
    by 2 and no groups; a linear layer outputs in multiples of 8.
    """
    if layer.out_channels % OUT_MULTIPLE:
        return False
    if layer.kind == "linear":
        return True
    dense = layer.groups == 1 and layer.in_channels % IN_MULTIPLE == 0
    return layer.kind == "conv" and dense and min(layer.output_hw) >= LEAST_SIDE
