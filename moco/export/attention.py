"""Attention that torch's exporter takes, whatever kernel the processor would use for it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

MOST_AXES = 4  # images, heads, tokens, channels: the exporter translates no others


@contextmanager
def exportable_attention() -> Iterator[None]:
    """Within, `scaled_dot_product_attention` is traced in a form that can be exported.

    The processor's fused kernel gives its output in an order of axes that a following reshape cannot be traced with
    (torch 2.13), so the plain formula is taken. Attention within windows, with more than four axes, is written out.
    """
    fused = F.scaled_dot_product_attention

    def attention(query: Tensor, key: Tensor, value: Tensor, *more: Any, **options: Any) -> Tensor:
        if query.ndim <= MOST_AXES:
            return fused(query, key, value, *more, **options)
        return written_out(query, key, value, *more, **options)

    F.scaled_dot_product_attention = attention
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        F.scaled_dot_product_attention = fused


def written_out(  # noqa: PLR0913, PLR0917 - as torch's function
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001 - an exported network is in evaluation mode
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(query key^T scale + mask) value, (…, tokens, channels), as torch's function documents it."""
    weights = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(weights.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None:
        weights = weights.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else weights + attn_mask
    return weights.softmax(dim=-1) @ value
