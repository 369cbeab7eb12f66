"""The labels of a tensor say which channels its places come from: checked by changing one channel at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from moco.compression.channels.algebra import STAYS, Atoms, components
from moco.compression.channels.flow import channel_flow
from tests.compression.toys import images, made

Between = Callable[[torch.Tensor], torch.Tensor]


class Given(nn.Module):
    """Six channels of 4 x 4, and what a function makes of them."""

    def __init__(self, between: Between) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 1)
        self.between = between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.between(self.conv(x))


MOVES: dict[str, tuple[Between, int]] = {
    "flatten": (lambda x: x.flatten(1), 1),
    "tokens": (lambda x: x.flatten(2).transpose(1, 2), 2),
    "windows": (lambda x: x.permute(0, 2, 3, 1).view(-1, 2, 2, 2, 2, 6).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, 6), 2),
    "flat and back": (lambda x: x.flatten(1).view(-1, 6, 4, 4), 1),
    "channels last": (lambda x: x.permute(0, 2, 3, 1).reshape(x.shape[0], -1), 1),
    "concatenation": (
        lambda x: torch.cat([torch.ones(2, 2, 1, 1), x.mean((2, 3), True), 2 * x.amax((2, 3), True)], 1).squeeze(),
        1,
    ),
    "pooling": (lambda x: F.max_pool2d(F.avg_pool2d(x, 2), 2), 1),
    "padding": (lambda x: F.pad(x, (1, 1, 2, 0)), 1),
    "unsqueeze, expand": (lambda x: x.unsqueeze(1).expand(-1, 3, -1, -1, -1), 2),
    "roll, select": (lambda x: torch.roll(x, 1, dims=2)[:, :, 0], 1),
    "batch of one axis": (lambda x: x.permute(1, 0, 2, 3), 0),
    "scale by position": (lambda x: x * torch.arange(1.0, 5.0), 1),
    "stacked halves of the image": (lambda x: torch.cat(x.chunk(2, dim=2), dim=3), 1),
    "gate": (lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)), 1),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVES)
@torch.no_grad()
def test_a_place_changes_with_the_channel_that_its_label_names(name: str) -> None:
    between, axis = MOVES[name]
    network, batch = made(Given, between), images(2, side=4)
    flow = channel_flow(network, batch)
    labels, before = flow.logits[axis], network(batch)
    classes, reasons = flow.atoms.classes()
    assert labels is not None
    assert not set(reasons) & set(classes[flow.sides["conv", "out"]].tolist())

    for channel, atom in enumerate(flow.sides["conv", "out"]):
        network.conv.bias[channel] += 1
        changed = (network(batch) - before).abs().movedim(axis, 0).flatten(1).amax(1) > 1e-6
        network.conv.bias[channel] -= 1
        assert changed.tolist() == (labels == atom).tolist()


STOPS: dict[str, Between] = {
    "softmax": lambda x: torch.softmax(x, 1),
    "heads": lambda x: x.flatten(2).transpose(1, 2).reshape(2, 16, 3, 2),
    "fixed operand": lambda x: x + torch.ones(6, 1, 1),
    "cross product": lambda x: torch.einsum("nchw,ndhw->ncd", x, x).cumsum(1),
    "three ways": lambda x: x.view(-1, 1, 3, 2, 4, 4).view(-1, 3, 2, 2, 2, 2, 2).flatten(2, 3),
    "merged with another": lambda x: (x.flatten(2).mean(2)[:, :, None] * x.flatten(2).mean(2)[:, None]).flatten(1),
    "selected": lambda x: x[:, 3],
    "index": lambda x: x[:, torch.tensor([0, 2])],
    "group norm": lambda x: F.group_norm(x, 2),
    "broadcast channel": lambda x: x[:, :1] * x,
}


@pytest.mark.parametrize("name", STOPS)
def test_what_is_not_one_channel_a_place_stays(name: str) -> None:
    flow = channel_flow(made(Given, STOPS[name]), images(2, side=4))
    classes, reasons = flow.atoms.classes()
    stays = [int(found) in reasons for found in classes[flow.sides["conv", "out"]]]

    assert any(stays) or len(set(classes[flow.sides["conv", "out"]].tolist())) < 6


class Constant(nn.Module):
    """A perceptron of a table, beside the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.table = nn.Linear(2, 6)
        self.scales = nn.Linear(6, 4)
        self.register_buffer("places", torch.ones(1, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).mean((2, 3)) * self.scales(torch.relu(self.table(self.places)))


def test_a_layer_that_does_not_read_the_image_stays() -> None:
    flow = channel_flow(made(Constant), images(2, side=4))
    classes, reasons = flow.atoms.classes()

    assert {reasons[found] for found in classes[flow.sides["table", "out"]].tolist()} == {
        "'table' does not read the image: a file holds what it gives as a constant"
    }


def test_hooks_are_gone_afterwards_and_the_network_is_as_it_was() -> None:
    network = made(Given, torch.relu)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    channel_flow(network, images(2, side=4))

    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_ties_are_transitive_and_what_is_tied_to_a_fixed_atom_stays() -> None:
    atoms = Atoms()
    first, second, third = (atoms.fresh(2) for _ in range(3))
    atoms.tie(first, second, "")
    atoms.tie(second[:1], third[:1], "")
    atoms.tie(third[1:], None, "a wall")
    classes, reasons = atoms.classes()

    assert classes[first[0]] == classes[second[0]] == classes[third[0]]
    assert classes[first[1]] == classes[second[1]] != classes[third[1]]
    assert reasons == {int(classes[STAYS]): "", int(classes[third[1]]): "a wall"}


def test_components_are_those_of_a_search_through_the_graph() -> None:
    rng = np.random.default_rng(0)
    edges = rng.integers(0, 40, (2, 30))
    found = components(40, [(edges[0], edges[1])])
    reached = np.eye(40, dtype=bool)
    reached[edges[0], edges[1]] = reached[edges[1], edges[0]] = True
    for _ in range(6):
        reached = reached @ reached

    assert np.array_equal(found[:, None] == found[None], reached)
