"""Attention is exported whatever its kernel gives: masks, reshapes behind it, windows; and it stays what it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from moco.export.attention import exportable_attention, written_out
from moco.export.template import build_template
from tests.compression.toys import images, made
from tests.export.graphs import expected, run


class Attention(nn.Module):
    """Patches of an image, two heads, within windows of four tokens or over all; then a reshape, as in timm's."""

    def __init__(self, windows: bool, biased: bool) -> None:
        super().__init__()
        self.patches, self.qkv = nn.Conv2d(3, 8, 2, 2), nn.Linear(8, 24)
        self.head, self.windows = nn.Linear(8, 5), windows
        self.bias = nn.Parameter(torch.linspace(-1, 1, 2 * 16).reshape(2, 16, 1)) if biased else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        batch, tokens, channels = x.shape
        shape = (batch, 4, 4, 3, 2, 4) if self.windows else (batch, tokens, 3, 2, 4)
        qkv = self.qkv(x).reshape(shape)
        query, key, value = qkv.permute(3, 0, 4, 1, 2, 5) if self.windows else qkv.permute(2, 0, 3, 1, 4)
        bias = None if self.bias is None else self.bias.expand(-1, -1, tokens)
        x = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        x = x.permute(0, 2, 3, 1, 4) if self.windows else x.transpose(1, 2)
        return self.head(x.reshape(batch, tokens, channels).mean(1))


@pytest.mark.slow
@pytest.mark.parametrize(("windows", "biased"), [(False, False), (False, True), (True, False)])
def test_the_file_gives_what_the_network_gives(windows: bool, biased: bool) -> None:
    network, batch = made(Attention, windows, biased), images(3, side=8)
    proto = build_template(network, batch).render(network)
    np.testing.assert_allclose(run(proto, batch.numpy()), expected(network, batch.numpy()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mask", [None, "numbers", "booleans", "causal"])
def test_what_is_written_out_is_what_torch_computes(mask: str | None) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 2, 3, 4, 5, 6, generator=generator)
    given = {
        None: {},
        "numbers": {"attn_mask": torch.randn(5, 5, generator=generator), "scale": 0.3},
        "booleans": {"attn_mask": torch.tensor([True, True, False, True, False])},
        "causal": {"is_causal": True},
    }[mask]
    torch.testing.assert_close(
        written_out(query, key, value, **given), functional.scaled_dot_product_attention(query, key, value, **given)
    )


def test_torch_is_as_it_was_afterwards() -> None:
    before = functional.scaled_dot_product_attention
    with pytest.raises(ZeroDivisionError), exportable_attention():
        raise ZeroDivisionError
    assert functional.scaled_dot_product_attention is before
