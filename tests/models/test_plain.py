"""A user's network is taken without wrappers and computed weights, gives what it gave, and is left as it was."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm
from torch.optim.swa_utils import AveragedModel

import moco
from moco.errors import ConfigError
from moco.models.plain import plain, unwrapped
from tests.compression.toys import images, made, randomized
from tests.policies import policy_of

BATCH = images(3, side=8)


class Toy(nn.Module):
    """Two convolutions and a head, the first changed by `change`."""

    def __init__(self, change: Callable[[nn.Module], nn.Module], bias: bool = True) -> None:
        super().__init__()
        self.conv = change(nn.Conv2d(3, 8, 3, bias=bias))
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


class Doubled(nn.Module):
    """A parametrization of one's own."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2 * weight


def masked(layer: nn.Module) -> nn.Module:
    prune.l1_unstructured(layer, "bias", 2)
    prune.l1_unstructured(layer, "weight", 0.3)
    prune.random_unstructured(layer, "weight", 3)  # a second one makes a container of both
    return layer


def frozen(layer: nn.Module) -> nn.Module:
    return parametrizations.weight_norm(layer.requires_grad_(False))


def doubled(layer: nn.Module) -> nn.Module:
    torch.nn.utils.parametrize.register_parametrization(layer, "weight", Doubled())
    return layer


COMPUTED: dict[str, Callable[[nn.Module], nn.Module]] = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "frozen weight_norm": frozen,
    "one's own": doubled,
    "weight_norm by hooks": pytest.param(weight_norm, marks=pytest.mark.filterwarnings("ignore")),  # type: ignore[dict-item]
    "spectral_norm by hooks": spectral_norm,
    "masks": masked,
}


def snapshot(network: nn.Module) -> list[Any]:
    state = [(name, tensor.clone()) for name, tensor in network.state_dict().items()]
    flags = [module.training for module in network.modules()]
    hooks = [list(module._forward_pre_hooks) for module in network.modules()]
    return [state, flags, hooks, [p.requires_grad for p in network.parameters()]]


def same(first: list[Any], other: list[Any]) -> bool:
    tensors = zip(first[0], other[0], strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in tensors) and first[1:] == other[1:]


@pytest.mark.parametrize("change", COMPUTED.values(), ids=COMPUTED)
def test_a_computed_weight_becomes_a_parameter(change: Callable[[nn.Module], nn.Module]) -> None:
    network = made(Toy, change).train()
    network.norm.eval()  # type: ignore[union-attr, operator]
    before = snapshot(network)
    copied = plain(network)

    assert same(snapshot(network), before)
    assert not any(module.training for module in copied.modules())
    assert set(copied.state_dict()) == set(Toy(lambda layer: layer).state_dict())
    assert isinstance(copied.get_submodule("conv").weight, nn.Parameter)
    assert not any(module._forward_pre_hooks for module in copied.modules())
    with torch.no_grad():
        torch.testing.assert_close(copied(BATCH), network.eval()(BATCH))


def test_what_was_frozen_stays_frozen() -> None:
    trained = {name: p.requires_grad for name, p in plain(made(Toy, frozen)).named_parameters()}

    assert (trained["conv.weight"], trained["head.weight"]) == (False, True)


def test_the_largest_filters_of_computed_weights_are_kept() -> None:
    network = made(Toy, parametrizations.weight_norm, False)
    thin = moco.compress(network, policy_of({"conv": (3, 8)}, {}), BATCH)
    weight = network.get_submodule("conv").weight.detach()  # type: ignore[union-attr, operator]
    largest = weight.abs().sum((1, 2, 3)).argsort(descending=True)[:3].sort().values

    assert torch.equal(thin.get_submodule("conv").weight, weight[largest])


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "DataParallel": nn.DataParallel,
    "AveragedModel": AveragedModel,
    "twice": lambda network: AveragedModel(nn.DataParallel(network)),
    "torch.compile": pytest.param(partial(torch.compile, backend="eager"), marks=pytest.mark.slow),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)
def test_the_network_inside_is_taken(wrapper: Callable[[nn.Module], nn.Module]) -> None:
    network = made(Toy, lambda layer: layer)
    wrapped = wrapper(network)

    assert type(unwrapped(wrapped)) is Toy
    assert list(plain(wrapped).state_dict()) == list(network.state_dict())


def test_a_wrapper_within_a_network_is_taken_off_too() -> None:
    network = made(Toy, nn.DataParallel)
    copied = plain(network)

    assert type(copied.conv) is nn.Conv2d
    assert isinstance(network.conv, nn.DataParallel)
    with torch.no_grad():
        torch.testing.assert_close(copied(BATCH), network(BATCH))


def test_batch_norms_of_distributed_training_are_batch_norms() -> None:
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(288, 6), nn.BatchNorm1d(6), nn.Linear(6, 5)
    )
    network = randomized(layers)
    copied = plain(nn.SyncBatchNorm.convert_sync_batchnorm(layers))

    assert all(isinstance(copied[place], nn.BatchNorm2d) for place in (1, 4))  # type: ignore[index]
    with torch.no_grad():
        torch.testing.assert_close(copied(BATCH), network(BATCH))


def test_a_copy_lies_in_memory_as_torch_makes_it() -> None:
    network = made(Toy, lambda layer: layer).to(memory_format=torch.channels_last)
    network.head.weight = nn.Parameter(network.head.weight.detach().t().contiguous().t())
    network.head.bias = nn.Parameter(torch.ones(1).expand(5))
    copied = plain(network)

    assert all(tensor.is_contiguous() for tensor in copied.state_dict().values())
    assert not network.head.weight.is_contiguous()
    with torch.no_grad():
        torch.testing.assert_close(copied(BATCH), network(BATCH))


def test_a_network_that_cannot_be_copied_is_one_line() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3))
    network.lock = Lock()  # type: ignore[assignment]
    with pytest.raises(ConfigError, match=r"^the network cannot be copied: TypeError: "):
        plain(network)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"TorchScript cannot be compressed; give the torch\.nn\.Module"):
        plain(torch.jit.trace(nn.Conv2d(3, 8, 3).eval(), BATCH))
