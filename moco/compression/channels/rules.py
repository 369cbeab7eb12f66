"""What each operator does to channels: by name of the ATen operator, the labels of its output.

A rule gets the labels of every axis of the operator's tensors, ties or fixes atoms, and returns the labels of the
output. An operator without a rule fixes all that it reads, so a network with an unknown operator is pruned less, never
wrongly.
"""

from __future__ import annotations

import numpy as np

from moco.compression.channels.algebra import Axes, Call, Labels, Rule
from moco.compression.channels.moves import MOVES


def unknown(call: Call) -> Axes:
    """An operator without a rule: what it reads must stay."""
    for tensor in call.tensors():
        call.fix_all(call.axes_of(tensor), f"does something to these channels that is not known ({call.operator})")
    return (None,) * call.output.ndim


def elementwise(call: Call) -> Axes:
    """The operands' axes are the same channels; one of size one is repeated, so it must stay."""
    axes: list[Labels] = []
    for back in range(call.output.ndim, 0, -1):
        size, found, first = call.output.shape[-back], None, True
        for tensor in call.tensors():
            if tensor.ndim < back:
                continue
            labels = call.axes_of(tensor)[-back]
            if tensor.shape[-back] != size:
                call.atoms.fix(labels, f"{call.where} repeats this channel")
            elif size > 1:
                reason = f"{call.where} combines these channels with others that stay"
                found = labels if first else call.atoms.tie(found, labels, reason)
                first = False
        axes.append(found)
    return tuple(axes)


def same(call: Call) -> Axes:
    """A copy, or a pass through."""
    return call.axes_of(call.args[0])


def convolution(call: Call) -> Axes:
    """Output channels are the weight's; a grouped convolution loses whole groups, with what they read and give."""
    image, weight, bias, transposed, groups = (*call.args[:3], call.args[6], call.args[8])
    wide, filters = call.axes_of(image), call.axes_of(weight)
    out, inner = (filters[1], filters[0]) if transposed else (filters[0], filters[1])
    for labels in wide[2:]:
        call.atoms.fix(labels, f"{call.where} convolves over these channels")
    if groups == 1:
        call.atoms.tie(wide[1], inner, f"{call.where} reads channels that must stay")
    elif transposed or out is None or wide[1] is None:
        call.fix_all((out, inner, wide[1]), f"is a grouped convolution ({groups} groups)")
    else:
        call.atoms.fix(inner, f"{call.where} is a grouped convolution ({groups} groups)")
        members = np.concatenate([wide[1].reshape(groups, -1), out.reshape(groups, -1)], axis=1)
        call.atoms.tie_rows(members.T, f"{call.where} is a grouped convolution ({groups} groups)")
    if bias is not None:
        out = call.atoms.tie(out, call.axes_of(bias)[0], f"{call.where} adds a bias that must stay")
    return (wide[0], out, *(None,) * (call.output.ndim - 2))


def batch_norm(call: Call) -> Axes:
    """The second axis is the normalised channels."""
    axes = call.axes_of(call.args[0])
    channels = axes[1]
    for tensor in call.args[1:5]:
        if tensor is not None:
            channels = call.atoms.tie(channels, call.axes_of(tensor)[0], f"{call.where} normalises fixed channels")
    return (axes[0], channels, *axes[2:])


def layer_norm(call: Call) -> Axes:
    """The last axes are normalised together: fewer channels have another mean."""
    axes, over = call.axes_of(call.args[0]), len(call.args[1])
    call.fix_all(axes[-over:], "normalises over these channels")
    return (*axes[:-over], *(None,) * over)


def group_norm(call: Call) -> Axes:
    """Groups of channels are normalised, each by itself: they go or stay whole."""
    axes, groups = call.axes_of(call.args[0]), call.args[6]
    call.fix_all(axes[2:], "normalises over these channels")
    channels = axes[1]
    for tensor in call.args[1:3]:
        if tensor is not None:
            channels = call.atoms.tie(channels, call.axes_of(tensor)[0], f"{call.where} normalises fixed channels")
    if groups == 1:
        call.fix_all((channels,), "normalises over these channels (a group norm of one group)")
    elif channels is not None:
        call.atoms.tie_rows(channels.reshape(groups, -1).T, f"{call.where} normalises in groups ({groups})")
    return (axes[0], channels, *(None,) * (call.output.ndim - 2))


def product(call: Call) -> Axes:
    """A matrix product: the inner axes are the same channels."""
    left, right = (call.axes_of(tensor) for tensor in call.args[-2:])
    call.atoms.tie(left[-1], right[-2], f"{call.where} reads channels that must stay")
    if call.args[-1].ndim == 2:  # a weight, whose work is counted for a fixed number of positions
        call.fix_all(left[:-1], "mixes the positions of each of these channels, a fixed number of times")
    return (*left[:-1], right[-1])


def product_and_sum(call: Call) -> Axes:
    """`addmm(bias, left, right)`."""
    axes = product(Call(call.args[:3], call.axes_of, call.output, call.where, call.atoms))
    added = call.axes_of(call.args[0])
    last = call.atoms.tie(axes[-1], added[-1], f"{call.where} adds a bias that must stay") if added else axes[-1]
    call.fix_all(added[:-1], "adds these channels to others")
    return (*axes[:-1], last)


def pooled(call: Call) -> Axes:
    """Pooling and resizing: images and channels stay what they are."""
    axes = call.axes_of(call.args[0])
    call.fix_all(axes[2:], "pools over these channels")
    return (*axes[:2], *(None,) * (call.output.ndim - 2))


def reduced(call: Call) -> Axes:
    """A mean, sum or extreme over some axes.

    Over channels it may be the same without those that are zero (a sum is), so nothing is fixed: whether it was shows
    when the thin network is compared to the masked one.
    """
    axes, dims, keep = call.axes_of(call.args[0]), call.arg(1), call.arg(2, False)
    dims = range(len(axes)) if dims is None or dims == [] else dims if isinstance(dims, list | tuple) else [dims]
    over = {dim % len(axes) for dim in dims}
    if keep:
        return tuple(None if dim in over else labels for dim, labels in enumerate(axes))
    return tuple(labels for dim, labels in enumerate(axes) if dim not in over)


def softmax(call: Call) -> Axes:
    """Normalised over one axis."""
    axes, dim = call.axes_of(call.args[0]), call.args[1]
    call.atoms.fix(axes[dim], f"{call.where} takes a softmax over these channels")
    return axes


UNTAGGED = (
    "relu", "hardtanh", "relu6", "hardswish", "hardsigmoid", "silu", "gelu", "elu", "celu", "selu", "leaky_relu",
    "mish", "softplus", "sigmoid", "tanh", "clamp", "clamp_min", "add", "sub", "mul", "div", "prelu", "_prelu_kernel",
)  # fmt: skip
"""Operators that work element by element, some of which do not bear the tag that says so."""

RULES: dict[str, Rule] = {
    "convolution": convolution,
    "native_layer_norm": layer_norm,
    "native_group_norm": group_norm,
    "mm": product,
    "bmm": product,
    "addmm": product_and_sum,
    "_softmax": softmax,
    "_log_softmax": softmax,
    **MOVES,
    **dict.fromkeys(("mean", "sum", "amax", "amin", "prod"), reduced),
    **dict.fromkeys(UNTAGGED, elementwise),
    **dict.fromkeys(("clone", "detach", "alias", "_to_copy", "dropout", "native_dropout", "lift_fresh"), same),
    **dict.fromkeys(
        ("native_batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit", "cudnn_batch_norm",
         "miopen_batch_norm", "_batch_norm_no_update", "_batch_norm_with_update"), batch_norm),
    **dict.fromkeys(
        ("adaptive_avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool2d", "max_pool2d",
         "max_pool2d_with_indices", "upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d"), pooled),
}  # fmt: skip
"""Rule by name of the ATen operator; those that work element by element are known by their tag."""
