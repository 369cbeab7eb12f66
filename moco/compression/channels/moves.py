"""What operators that only move values do to channels: joining, splitting, padding, reordering, reshaping."""

from __future__ import annotations

from math import prod

import numpy as np

from moco.compression.channels.algebra import STAYS, Axes, Call, Labels, Rule


def concatenated(call: Call) -> Axes:
    """One after the other along one axis, the same along the others."""
    tensors, dim = [t for t in call.args[0] if t.ndim == call.output.ndim], call.arg(1, 0) % call.output.ndim
    axes = list(call.axes_of(tensors[0]))
    for tensor in tensors[1:]:
        for other, labels in enumerate(call.axes_of(tensor)):
            if other != dim:
                reason = f"{call.where} concatenates these channels with others that stay"
                axes[other] = call.atoms.tie(axes[other], labels, reason)
    parts = [(call.axes_of(tensor)[dim], tensor.shape[dim]) for tensor in tensors]
    if any(labels is not None for labels, _ in parts):
        whole = [np.full(size, STAYS) if labels is None else labels for labels, size in parts]
        axes[dim] = np.concatenate(whole)
    else:
        axes[dim] = None
    return tuple(axes)


def split(call: Call) -> list[Axes]:
    """Parts of one size, as `chunk` gives them: all lose the same channels, so that they stay equal."""
    axes, size = list(call.axes_of(call.args[0])), call.args[1]
    dim = call.arg(2, 0) % len(axes)
    labels, parts = axes[dim], -(-call.args[0].shape[dim] // size)
    if labels is not None and len(labels) == parts * size:
        call.atoms.tie_rows(labels.reshape(parts, size), f"{call.where} splits channels of which some must stay")
        return [(*axes[:dim], part, *axes[dim + 1 :]) for part in labels.reshape(parts, size)]
    call.atoms.fix(labels, f"{call.where} splits these channels into unequal parts")
    return [(*axes[:dim], None, *axes[dim + 1 :])] * parts


def split_by_sizes(call: Call) -> list[Axes]:
    """Parts whose sizes are numbers in the forward pass."""
    axes, sizes = list(call.axes_of(call.args[0])), call.args[1]
    dim = call.arg(2, 0) % len(axes)
    call.atoms.fix(axes[dim], f"{call.where} splits these channels into parts of given sizes")
    return [(*axes[:dim], None, *axes[dim + 1 :])] * len(sizes)


def sliced(call: Call) -> Axes:
    """A part of one axis."""
    axes = list(call.axes_of(call.args[0]))
    dim = call.arg(1, 0) % len(axes)
    if call.output.shape != call.args[0].shape:
        call.atoms.fix(axes[dim], f"{call.where} takes a part of these channels")
        axes[dim] = None
    return tuple(axes)


def selected(call: Call) -> Axes:
    """One place of an axis, which goes."""
    axes = list(call.axes_of(call.args[0]))
    call.atoms.fix(axes.pop(call.args[1]), f"{call.where} takes one of these channels")
    return tuple(axes)


def padded(call: Call) -> Axes:
    """Zeros around the last axes; `pad` begins with the last one."""
    axes, pad = list(call.axes_of(call.args[0])), call.args[1]
    for back in range(len(pad) // 2):
        if any(pad[2 * back : 2 * back + 2]):
            call.atoms.fix(axes[-1 - back], f"{call.where} pads these channels")
            axes[-1 - back] = None
    return tuple(axes)


def rolled(call: Call) -> Axes:
    """Moved along some axes."""
    axes = list(call.axes_of(call.args[0]))
    for dim in call.arg(2, []):
        call.atoms.fix(axes[dim], f"{call.where} rolls these channels")
        axes[dim] = None
    return tuple(axes)


def permuted(call: Call) -> Axes:
    """Axes in another order."""
    axes = call.axes_of(call.args[0])
    return tuple(axes[dim] for dim in call.args[1])


def transposed(call: Call) -> Axes:
    """Two axes swapped; `t` swaps the two that there are."""
    axes = list(call.axes_of(call.args[0]))
    if len(axes) > 1:
        first, second = call.arg(1, 0), call.arg(2, 1)
        axes[first], axes[second] = axes[second], axes[first]
    return tuple(axes)


def unsqueezed(call: Call) -> Axes:
    """A new axis of size one."""
    axes = list(call.axes_of(call.args[0]))
    axes.insert(call.args[1] % (len(axes) + 1), None)
    return tuple(axes)


def expanded(call: Call) -> Axes:
    """Axes of size one repeated, and new ones in front."""
    source = call.args[0]
    axes = (*(None,) * (call.output.ndim - source.ndim), *call.axes_of(source))
    sizes = (*(1,) * (call.output.ndim - source.ndim), *source.shape)
    found: list[Labels] = []
    for labels, before, after in zip(axes, sizes, call.output.shape, strict=True):
        if before != after:
            call.atoms.fix(labels, f"{call.where} repeats this channel")
        found.append(labels if before == after else None)
    return tuple(found)


def reshaped(call: Call) -> Axes:
    """Axes merged and split, found as runs of axes with equal products of their sizes."""
    source = call.args[0]
    before = [(size, labels) for size, labels in zip(source.shape, call.axes_of(source), strict=True) if size != 1]
    places = [dim for dim, size in enumerate(call.output.shape) if size != 1]
    axes: list[Labels] = [None] * call.output.ndim
    while places and before:
        old, new = [before.pop(0)], [places.pop(0)]
        while (have := prod(size for size, _ in old)) != (want := prod(call.output.shape[dim] for dim in new)):
            if have < want:
                old.append(before.pop(0))
            else:
                new.append(places.pop(0))
        sizes = [call.output.shape[dim] for dim in new]
        for dim, labels in zip(new, _run(call, old, sizes, is_last=not places), strict=True):
            axes[dim] = labels
    return tuple(axes)


def _run(call: Call, old: list[tuple[int, Labels]], new: list[int], *, is_last: bool) -> list[Labels]:
    """The labels of the axes of sizes `new` that take the place of the axes `old` with the same product."""
    merged = _merged(call, old) if len(old) > 1 else old[0][1]
    if merged is None or len(new) == 1:
        return [merged] if len(new) == 1 else [None] * len(new)
    outer = merged.reshape(new[0], -1)
    if bool((outer == outer[:, :1]).all()):  # the first of the new axes is the channels
        return [outer[:, 0].copy(), *[None] * (len(new) - 1)]
    if is_last:  # tokens: the number of heads and the width of one are both held by the forward pass
        call.atoms.fix(merged, f"{call.where} splits these channels into heads")
        return [None] * len(new)
    if len(new) == 2:  # a shuffle: a fixed number of parts, each of which loses the same channels
        return [None, call.atoms.tie_rows(outer, f"{call.where} splits channels of which some must stay")]
    call.atoms.fix(merged, f"{call.where} splits these channels into several dimensions")
    return [None] * len(new)


def _merged(call: Call, old: list[tuple[int, Labels]]) -> Labels:
    """The labels along several axes written as one."""
    labelled = [index for index, (_, labels) in enumerate(old) if labels is not None]
    if len(labelled) > 1:
        call.fix_all(tuple(labels for _, labels in old), "merges these channels with others")
    if len(labelled) != 1:
        return None
    index, sizes = labelled[0], [size for size, _ in old]
    labels = old[index][1]
    assert labels is not None
    return np.broadcast_to(labels.reshape(-1, *(1,) * (len(old) - index - 1)), sizes).reshape(-1)


MOVES: dict[str, Rule] = {
    "cat": concatenated,
    "split": split,
    "split_with_sizes": split_by_sizes,
    "slice": sliced,
    "select": selected,
    "constant_pad_nd": padded,
    "roll": rolled,
    "permute": permuted,
    "unsqueeze": unsqueezed,
    "expand": expanded,
    **dict.fromkeys(("t", "transpose"), transposed),
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze"), reshaped),
}
"""Rule by name of the ATen operator."""
