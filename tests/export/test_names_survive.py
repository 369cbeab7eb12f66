"""Whatever makes a batch-norm, the weights of a template keep their parameters' names, so that candidates fit it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional as F  # noqa: N812

from moco.compression.compressor import Compressor
from moco.export.folding import foldable_pairs
from moco.export.quantize import quantizable_layers
from moco.export.template import build_template
from tests.compression.toys import images, made
from tests.export.graphs import expected, run
from tests.policies import policy_of

EXAMPLE, BATCH = images(2, side=8), images(5, side=8).numpy()


class Activating(nn.BatchNorm2d):
    """A batch-norm that also activates, as timm's are."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002, torch's name
        return torch.relu(super().forward(input))


class Two(nn.Module):
    """Two convolutions with a norm behind each."""

    def __init__(self, first: nn.Module, norm: nn.Module, second: nn.Module, other: nn.Module | None = None) -> None:
        super().__init__()
        self.first, self.norm, self.second, self.other = first, norm, second, other or norm
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        return self.head(torch.relu(self.other(self.second(x))).mean((2, 3)))


class Functional(nn.Module):
    """A batch-norm that no module makes, of which neither scale nor offset is a parameter."""

    def __init__(self, affine: bool = True) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 6, 3, bias=False), nn.Linear(6, 5)
        self.register_buffer("mean", torch.linspace(-0.2, 0.3, 6))
        self.register_buffer("variance", torch.linspace(0.5, 1.5, 6))
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, 6)) if affine else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.batch_norm(self.conv(x), self.mean, self.variance, self.scale, None)
        return self.head(torch.relu(x).mean((2, 3)))


class Norms(nn.Module):
    """A convolution that is used twice, each time with a batch-norm of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 5)
        self.one, self.two = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.two(self.conv(torch.relu(self.one(self.conv(x)))))).mean((2, 3)))


conv, plain = partial(nn.Conv2d, kernel_size=3, padding=1), nn.BatchNorm2d
CASES: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "also activates": (lambda: Two(conv(3, 8, bias=False), Activating(8), conv(8, 6), Activating(6)), 2),
    "one odd among others": (lambda: Two(conv(3, 8), plain(8), conv(8, 6), Activating(6)), 2),
    "shared by two convolutions": (lambda: Two(conv(3, 6), plain(6), conv(6, 6)), 2),
    "no scale and no offset": (lambda: Two(conv(3, 8), plain(8), conv(8, 6), plain(6)), 2),
    "behind a transposed convolution": (
        lambda: Two(conv(3, 8), plain(8), nn.ConvTranspose2d(8, 6, 4, 2, bias=False), plain(6)), 2,
    ),
    "behind a transposed convolution of two groups": (
        lambda: Two(conv(3, 8), plain(8), nn.ConvTranspose2d(8, 6, 2, 2, groups=2), plain(6)), 1,
    ),
    "a function": (Functional, 1),
    "a function without a scale": (partial(Functional, affine=False), 1),
    "of its own at each use of a convolution": (Norms, 0),
}  # fmt: skip


def network_of(case: str) -> nn.Module:
    network = made(CASES[case][0])  # type: ignore[arg-type]
    if case == "no scale and no offset":
        network.norm.weight = network.norm.bias = None  # type: ignore[union-attr, assignment]
    return network


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_weights_keep_their_names_and_the_batch_norm_is_folded(case: str) -> None:
    network = network_of(case)
    template = build_template(network, EXAMPLE)
    proto = template.render(network)
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]

    onnx.checker.check_model(proto, full_check=True)
    assert len(template.foldings) == CASES[case][1]
    assert set(layers) <= set(quantizable_layers(proto))
    assert np.abs(run(proto, BATCH) - expected(network, BATCH)).max() < 1e-6


@pytest.mark.parametrize("case", list(CASES)[:5])
def test_a_pruned_candidate_needs_no_export_of_its_own(case: str) -> None:
    network = network_of(case)
    compressor, template = Compressor.of(network, EXAMPLE), build_template(network, EXAMPLE)
    widths = {name: (group.channels // 2, group.channels) for name, group in compressor.graph.groups.items()}
    thin = compressor.compress(policy_of(widths, {}))

    assert "first" in widths
    assert np.abs(run(template.render(thin), BATCH) - expected(thin, BATCH)).max() < 1e-6


def test_equal_weights_are_not_made_one() -> None:
    network = made(lambda: Two(conv(3, 3), nn.Identity(), conv(3, 6)))  # type: ignore[arg-type]
    network.second = nn.Sequential(conv(3, 3), conv(3, 6))
    network.second[0].load_state_dict(network.first.state_dict())  # type: ignore[index, union-attr, operator]
    template = build_template(network, EXAMPLE)
    network.second[0].weight.data *= 2  # type: ignore[index]
    stored = {i.name: numpy_helper.to_array(i) for i in template.render(network).graph.initializer}

    assert np.array_equal(stored["second.0.weight"], 2 * stored["first.weight"])


def test_one_odd_batch_norm_does_not_keep_the_others_from_folding() -> None:
    network = network_of("one odd among others")

    assert [pair.layer for pair in foldable_pairs(network, EXAMPLE)] == ["first"]


class Twofold(nn.Module):
    """Computes with a layer's weight beside the layer, which folding would change."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)) * self.conv.weight.mean())


def test_a_layer_whose_weight_is_read_elsewhere_is_not_folded() -> None:
    network = made(Twofold)

    assert foldable_pairs(network, EXAMPLE) == ()
    assert np.abs(run(build_template(network, EXAMPLE).render(network), BATCH) - expected(network, BATCH)).max() < 1e-6
