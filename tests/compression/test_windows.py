"""Windows at sampled positions are those of the library's im2col, and times the weights they give the outputs there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from moco.compression.windows import draw_positions, sampled_outputs, sampled_rows
from tests.compression.toys import images

CONVOLUTIONS = {
    "1x1": nn.Conv2d(4, 6, 1),
    "1x1 stride 2": nn.Conv2d(4, 6, 1, stride=2),
    "3x3 stride 2 padded": nn.Conv2d(4, 6, 3, stride=2, padding=1),
    "uneven": nn.Conv2d(4, 6, (3, 5), stride=(1, 2), padding=(0, 2), dilation=(2, 1)),
}
OTHER_PADDINGS = {
    "same": nn.Conv2d(4, 6, (4, 3), padding="same", dilation=(1, 2)),
    "valid": nn.Conv2d(4, 6, 3, padding="valid"),
    "reflect": nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
    "circular": nn.Conv2d(4, 6, 3, stride=2, padding=(1, 2), padding_mode="circular", bias=False),
}
INPUTS = images(3, 4, 11)[:, :, :, :9]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_rows_are_those_of_unfold_with_a_column_of_ones(name: str) -> None:
    layer = CONVOLUTIONS[name]
    positions = draw_positions(layer, INPUTS, 4, rng())
    columns = F.unfold(INPUTS, layer.kernel_size, layer.dilation, layer.padding, layer.stride).transpose(1, 2)
    expected = torch.stack([columns[i, p] for i in range(3) for p in positions[i]])
    rows = sampled_rows(layer, INPUTS, positions)

    assert torch.equal(rows[:, :-1], expected)
    assert torch.equal(rows[:, -1], torch.ones(12))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("name", [*CONVOLUTIONS, *OTHER_PADDINGS])
def test_rows_times_the_weights_are_the_outputs(name: str) -> None:
    layer = {**CONVOLUTIONS, **OTHER_PADDINGS}[name]
    positions = draw_positions(layer, INPUTS, 5, rng())
    weight, outputs = layer.weight.detach().flatten(1), layer(INPUTS).detach()
    full = weight if layer.bias is None else torch.cat([weight, layer.bias.detach()[:, None]], 1)
    given = sampled_outputs(layer, outputs, positions)

    assert given.shape == (15, 6)
    assert torch.equal(given[5], outputs.flatten(2)[1, :, positions[1, 0]])
    torch.testing.assert_close(sampled_rows(layer, INPUTS, positions) @ full.T, given, rtol=1e-4, atol=1e-5)


def test_a_layout_of_channels_last_gives_the_same_rows() -> None:
    layer = CONVOLUTIONS["3x3 stride 2 padded"]
    positions = draw_positions(layer, INPUTS, 4, rng())
    last = INPUTS.contiguous(memory_format=torch.channels_last)

    assert torch.equal(sampled_rows(layer, last, positions), sampled_rows(layer, INPUTS, positions))


@pytest.mark.parametrize("shape", [(7, 6), (7, 4, 6), (7, 2, 2, 6)])
def test_a_linear_layer_has_the_positions_of_its_tokens(shape: tuple[int, ...]) -> None:
    layer, inputs = nn.Linear(6, 3), torch.arange(float(np.prod(shape))).reshape(shape)
    positions = draw_positions(layer, inputs, 3, rng())
    rows = sampled_rows(layer, inputs, positions)
    expected = inputs.reshape(7, -1, 6)

    assert positions.shape == (7, 1 if len(shape) == 2 else 3)
    assert torch.equal(rows[:, :-1], torch.cat([expected[i, positions[i]] for i in range(7)]))
    torch.testing.assert_close(
        sampled_outputs(layer, layer(inputs), positions),
        layer(torch.cat([expected[i, positions[i]] for i in range(7)])),
    )


def test_positions_differ_between_images_and_repeat_with_the_seed() -> None:
    layer = CONVOLUTIONS["1x1"]
    positions = draw_positions(layer, INPUTS, 10, rng())

    assert all(len(set(drawn.tolist())) == 10 for drawn in positions)
    assert positions.max() < 99
    assert positions[0].tolist() != positions[1].tolist()
    assert torch.equal(positions, draw_positions(layer, INPUTS, 10, rng()))
    assert not torch.equal(positions, draw_positions(layer, INPUTS, 10, rng(1)))


def test_all_positions_are_taken_where_there_are_no_more() -> None:
    layer = CONVOLUTIONS["3x3 stride 2 padded"]

    assert draw_positions(layer, INPUTS, 1000, rng()).tolist() == [list(range(6 * 5))] * 3
