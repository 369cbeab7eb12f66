"""What ONNX does to shapes, indices and types, in torch; sizes and axes are constants of a file, or come of shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from onnx import TensorProto
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from moco.errors import MeasurementError

TYPES: dict[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.INT64: torch.int64,
    TensorProto.INT32: torch.int32,
    TensorProto.INT16: torch.int16,
    TensorProto.INT8: torch.int8,
    TensorProto.UINT8: torch.uint8,
    TensorProto.BOOL: torch.bool,
}
PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}
RESIZE_MODES = {("nearest", "asymmetric"), ("linear", "half_pixel"), ("linear", "pytorch_half_pixel")}


def identity(x: Tensor) -> Tensor:
    """Identity."""
    return x


def dropout(x: Tensor, *_: Tensor | None, seed: int = 0) -> Tensor:  # noqa: ARG001 - nothing is drawn
    """Dropout, which does nothing outside of training."""
    return x


def constant(**value: Any) -> Tensor:
    """Constant, in any of its forms."""
    (given,) = value.values()
    return given if isinstance(given, Tensor) else torch.tensor(given)


def constant_of_shape(shape: Tensor, *, value: Tensor | None = None) -> Tensor:
    """ConstantOfShape."""
    return torch.zeros(shape.tolist()) if value is None else value.reshape(()).repeat(shape.tolist())


def shape_of(x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    """Shape."""
    return torch.tensor(list(x.shape)[start:end], dtype=torch.int64)


def size_of(x: Tensor) -> Tensor:
    """Size."""
    return torch.tensor(x.numel(), dtype=torch.int64)


def cast(x: Tensor, *, to: int, **_: int) -> Tensor:
    """Cast."""
    if to not in TYPES:
        raise MeasurementError(
            f"Cast: expected a type of {', '.join(map(str, TYPES.values()))}, got ONNX's number {to}"
        )
    return x.to(TYPES[to])


def cast_like(x: Tensor, like: Tensor, **_: int) -> Tensor:
    """CastLike."""
    return x.to(like.dtype)


def reshape(x: Tensor, shape: Tensor, *, allowzero: int = 0) -> Tensor:
    """Reshape; a size of 0 is that of the input, unless `allowzero`."""
    sizes = shape.tolist()
    return torch.reshape(x, [x.shape[i] if size == 0 and not allowzero else size for i, size in enumerate(sizes)])


def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    """Flatten to a matrix."""
    before = 1
    for size in x.shape[: axis if axis >= 0 else axis + x.dim()]:
        before *= size
    return torch.reshape(x, [before, -1])


def transpose(x: Tensor, *, perm: Sequence[int] | None = None) -> Tensor:
    """Transpose."""
    return torch.permute(x, list(perm or reversed(range(x.dim()))))


def squeeze(x: Tensor, given: Tensor | None = None, *, axes: Sequence[int] | None = None) -> Tensor:
    """Squeeze."""
    chosen = axes if given is None else given.reshape(-1).tolist()
    return torch.squeeze(x) if chosen is None else torch.squeeze(x, tuple(chosen))


def unsqueeze(x: Tensor, given: Tensor | None = None, *, axes: Sequence[int] | None = None) -> Tensor:
    """Unsqueeze; axes count in the result."""
    chosen = list(axes or []) if given is None else given.reshape(-1).tolist()
    rank = x.dim() + len(chosen)
    places = {axis % rank for axis in chosen}
    sizes = iter(x.shape)
    return torch.reshape(x, [1 if axis in places else next(sizes) for axis in range(rank)])


def concat(*parts: Tensor, axis: int) -> Tensor:
    """Concat."""
    return torch.cat(parts, axis)


def split(
    x: Tensor,
    given: Tensor | None = None,
    *,
    axis: int = 0,
    split: Sequence[int] | None = None,
    num_outputs: int = 1,
) -> tuple[Tensor, ...]:
    """Split into parts of these sizes, or into so many equal ones, the last of which may be smaller."""
    sizes = split if given is None else given.tolist()
    return tuple(torch.split(x, -(-x.shape[axis] // num_outputs) if sizes is None else list(sizes), axis))


def slice_of(
    x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    """Slice; torch has no steps backwards, so those flip the axis first."""
    first, last = starts.tolist(), ends.tolist()
    along = list(range(len(first))) if axes is None else axes.tolist()
    by = [1] * len(first) if steps is None else steps.tolist()
    for start, end, axis, step in zip(first, last, along, by, strict=True):
        begin, stop, stride = slice(start, end, step).indices(x.shape[axis])
        if stride < 0:
            x, size = torch.flip(x, (axis,)), x.shape[axis]
            begin, stop, stride = size - 1 - begin, size - 1 - stop, -stride
        index: list[slice] = [slice(None)] * x.dim()
        index[axis] = slice(begin, stop, stride)
        x = x[tuple(index)]
    return x


def gather(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """Gather; negative indices count from the end."""
    axis = axis % x.dim()
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    if indices.dim() == 0:
        return torch.select(x, axis, int(indices.item()))
    chosen = torch.index_select(x, axis, indices.reshape(-1))
    if indices.dim() == 1:
        return chosen
    return torch.reshape(chosen, [*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def gather_elements(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """GatherElements."""
    return torch.gather(x, axis, torch.where(indices < 0, indices + x.shape[axis], indices))


def gather_nd(x: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    """GatherND over the first axes."""
    if batch_dims:
        raise MeasurementError(f"GatherND: expected no batch_dims, got {batch_dims}")
    return x[tuple(indices.unbind(-1))]


def scatter_nd(x: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    """ScatterND, which replaces or adds."""
    if reduction not in {"none", "add"}:
        raise MeasurementError(f"ScatterND: expected a reduction of none, add; got {reduction}")
    return torch.index_put(x, tuple(indices.unbind(-1)), updates, reduction == "add")


def expand(x: Tensor, shape: Tensor) -> Tensor:
    """Expand: broadcasting in both directions."""
    return torch.broadcast_to(x, np.broadcast_shapes(tuple(x.shape), tuple(shape.tolist())))


def tile(x: Tensor, repeats: Tensor) -> Tensor:
    """Tile."""
    return torch.tile(x, tuple(repeats.tolist()))


def number_range(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """Range."""
    return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


def triangle(x: Tensor, diagonal: Tensor | None = None, *, upper: int = 1) -> Tensor:
    """Trilu."""
    offset = 0 if diagonal is None else int(diagonal.item())
    return torch.triu(x, offset) if upper else torch.tril(x, offset)


def pad(
    x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None, *, mode: str = "constant"
) -> Tensor:
    """Pad, in which a negative padding cuts off."""
    if mode not in PAD_MODES:
        raise MeasurementError(f"Pad: expected a mode of {', '.join(PAD_MODES)}; got {mode}")
    sizes = pads.tolist()
    along = list(range(x.dim())) if axes is None else [axis % x.dim() for axis in axes.tolist()]
    sides = dict(zip(along, zip(sizes[: len(along)], sizes[len(along) :], strict=True), strict=True))
    first = min((axis for axis, both in sides.items() if any(both)), default=x.dim())
    flat = [side for axis in reversed(range(first, x.dim())) for side in sides.get(axis, (0, 0))]
    if not flat:
        return x
    return F.pad(x, flat, PAD_MODES[mode], 0 if value is None or mode != "constant" else value.item())


def resize(
    x: Tensor,
    _: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
    *,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    **others: Any,
) -> Tensor:
    """Resize of height and width, where torch counts pixels alike."""
    way = (mode, coordinate_transformation_mode)
    odd = others.get("antialias") or others.get("axes") or (mode == "nearest" and nearest_mode != "floor")
    if way not in RESIZE_MODES or x.dim() != 4 or odd:
        raise MeasurementError(f"Resize: {mode} with {coordinate_transformation_mode} of {x.dim()} axes is not known")
    if sizes is not None:
        wanted = sizes.tolist()[2:]
    elif scales is not None:
        wanted = [int(size * scale) for size, scale in zip(x.shape[2:], scales.tolist()[2:], strict=True)]
    else:
        raise MeasurementError("Resize: expected scales or sizes")
    return F.interpolate(x, wanted, mode="nearest" if mode == "nearest" else "bilinear")


def depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """DepthToSpace."""
    n, channels, height, width = x.shape
    left = channels // blocksize**2
    if mode == "CRD":
        return F.pixel_shuffle(x, blocksize)
    x = torch.permute(torch.reshape(x, [n, blocksize, blocksize, left, height, width]), [0, 3, 4, 1, 5, 2])
    return torch.reshape(x, [n, left, height * blocksize, width * blocksize])


def einsum(*values: Tensor, equation: str) -> Tensor:
    """Einsum."""
    return torch.einsum(equation, *values)


OPERATORS: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "Cast": cast,
    "CastLike": cast_like,
    "Concat": concat,
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "DepthToSpace": depth_to_space,
    "Dropout": dropout,
    "Einsum": einsum,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "Identity": identity,
    "Pad": pad,
    "Range": number_range,
    "Reshape": reshape,
    "Resize": resize,
    "ScatterND": scatter_nd,
    "Shape": shape_of,
    "Size": size_of,
    "Slice": slice_of,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Trilu": triangle,
    "Unsqueeze": unsqueeze,
}
