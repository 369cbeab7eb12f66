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


def stacked(call: Call) -> Axes:
    """Each at its place along a new axis, the same along the others."""
    first, *others = call.args[0]
    axes, reason = list(call.axes_of(first)), f"{call.where} stacks these channels upon others that stay"
    for tensor in others:
        axes = [call.atoms.tie(labels, more, reason) for labels, more in zip(axes, call.axes_of(tensor), strict=True)]
    axes.insert(call.arg(1, 0) % call.output.ndim, None)
    return tuple(axes)


def unbound(call: Call) -> list[Axes]:
    """Every place of an axis, which goes, by itself."""
    axes, dim = list(call.axes_of(call.args[0])), call.arg(1, 0)
    call.atoms.fix(axes.pop(dim), f"{call.where} takes these channels one by one")
    return [tuple(axes)] * call.args[0].shape[dim]


def split(call: Call) -> list[Axes]:
    """Parts of one size, as `chunk` gives them: all lose the same channels, so that they stay equal."""
    axes, size = list(call.axes_of(call.args[0])), call.args[1]
    dim = call.arg(2, 0) % len(axes)
    labels, parts = axes[dim], -(-call.args[0].shape[dim] // size)
    if labels is not None and len(labels) == parts * size:
        return [(*axes[:dim], part, *axes[dim + 1 :]) for part in _alike(call, labels, parts)]
    call.atoms.fix(labels, f"{call.where} splits these channels into unequal parts")
    return [(*axes[:dim], None, *axes[dim + 1 :])] * parts


def split_by_sizes(call: Call) -> list[Axes]:
    """Parts of sizes that are equal, or that are numbers in the forward pass."""
    axes, sizes = list(call.axes_of(call.args[0])), call.args[1]
    dim = call.arg(2, 0) % len(axes)
    labels = axes[dim]
    if labels is not None and len(set(sizes)) == 1:
        return [(*axes[:dim], part, *axes[dim + 1 :]) for part in _alike(call, labels, len(sizes))]
    call.atoms.fix(labels, f"{call.where} splits these channels into parts of given sizes")
    return [(*axes[:dim], None, *axes[dim + 1 :])] * len(sizes)


def sliced(call: Call) -> Axes:
    """A part of one axis; one of several equal ones, a half it may be, is as `chunk` gives it."""
    axes, source = list(call.axes_of(call.args[0])), call.args[0]
    dim = call.arg(1, 0) % len(axes)
    size, part = source.shape[dim], call.output.shape[dim]
    first, _, step = slice(*(call.arg(place) for place in (2, 3, 4))).indices(size)
    labels = axes[dim]
    if size == part or labels is None:
        return tuple(axes)
    if part > 1 and step == 1 and size % part == first % part == 0:
        axes[dim] = _alike(call, labels, size // part)[first // part]
    else:
        call.atoms.fix(labels, f"{call.where} takes a part of these channels")
        axes[dim] = None
    return tuple(axes)


def gated(call: Call) -> Axes:
    """The first half of an axis times a gate of the second."""
    axes, dim = list(call.axes_of(call.args[0])), call.arg(1, -1)
    labels = axes[dim]
    axes[dim] = None if labels is None else _alike(call, labels, 2)[0]
    return tuple(axes)


def shuffled(call: Call) -> Axes:
    """Channels of several equal parts in turn."""
    axes, parts = list(call.axes_of(call.args[0])), call.args[1]
    labels = axes[1]
    axes[1] = None if labels is None else _alike(call, labels, parts).T.reshape(-1)
    return tuple(axes)


def _alike(call: Call, labels: np.ndarray, parts: int) -> np.ndarray:
    """The labels of equal parts (parts, places), of which each loses the same channels."""
    rows = labels.reshape(parts, -1)
    call.atoms.tie_rows(rows, f"{call.where} splits channels of which some must stay")
    return rows


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


def repeated(call: Call) -> Axes:
    """Whole axes one after the other, and new ones in front."""
    source, times = call.args[0], call.args[1]
    axes = (*(None,) * (call.output.ndim - source.ndim), *call.axes_of(source))
    return tuple(None if labels is None else np.tile(labels, n) for labels, n in zip(axes, times, strict=True))


def restrided(call: Call) -> Axes:
    """A copy in another layout of memory; whatever else strides can make of a tensor is not followed."""
    axes, layout, stride = call.axes_of(call.args[0]), [], 1
    for size in reversed(call.output.shape):
        layout.append(stride)
        stride *= size
    places = [dim for dim, size in enumerate(call.output.shape) if size > 1]
    whole = tuple(call.args[1]) == tuple(call.output.shape) and len(axes) == call.output.ndim
    if whole and all(call.args[2][dim] == layout[::-1][dim] for dim in places):
        return axes
    call.fix_all(axes, "lays these channels out anew (as_strided)")
    return (None,) * call.output.ndim


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
    "stack": stacked,
    "unbind": unbound,
    "glu": gated,
    "repeat": repeated,
    "as_strided": restrided,
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
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), shuffled),
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze"), reshaped),
}
"""Rule by name of the ATen operator."""
