"""Convolutions that compute their weight from their parameters in each forward pass, such as standardised ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils._python_dispatch import TorchDispatchMode

MOST_DIFFERENCE = 1e-5  # of what a convolution and the one in its place give, of the largest value


class PaddedConv2d(nn.Conv2d):
    """A convolution of an image with zeros around it, which may be more on one side."""

    margins: Sequence[int] = ()  # as `F.pad` takes them

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002, the name is torch's
        """Features (n, channels, height, width)."""
        return super().forward(F.pad(input, self.margins))


@dataclass(frozen=True)
class _Use:
    """One forward pass of a module: what it read and gave, and the arguments of the operators of interest."""

    read: torch.Tensor
    given: torch.Tensor
    convolutions: Sequence[Sequence[Any]]
    paddings: Sequence[Sequence[Any]]


def compute_once(network: nn.Module, shape: Sequence[int]) -> None:
    """Put, in place, a plain convolution with the resulting weight where a subclass computes it in its forward pass.

    The network, in evaluation mode, takes images (channels, height, width) of `shape`, with which the amount of padding
    may change. A convolution is left where the one in its place gives anything else, on what it reads and on other
    values: its weight may depend on the image. A network that does not run is left to others to refuse.
    """
    own = {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv2d) and not _is_torchs(type(m))}
    if not own:
        return
    watch, image = _Watch(), torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    with ExitStack() as hooks, torch.no_grad(), watch:
        for name, module in own.items():
            hooks.enter_context(module.register_forward_pre_hook(watch.enter))
            hooks.enter_context(module.register_forward_hook(partial(watch.leave, name)))
        try:
            network(image)
        except Exception:  # a forward pass fails in many ways; `check_fit` says how
            return
    made = {module: _constant(module, watch.uses.get(name, [])) for name, module in own.items()}
    for name, module in list(network.named_modules(remove_duplicate=False)):
        constant = made.get(module) if isinstance(module, nn.Conv2d) else None
        if constant is not None:
            network.set_submodule(name, constant)


def _is_torchs(kind: type[nn.Module]) -> bool:
    """Whether a convolution's forward pass is torch's own, whose weight is a parameter."""
    return kind.forward is nn.Conv2d.forward and kind._conv_forward is nn.Conv2d._conv_forward  # type: ignore[attr-defined]


def _constant(module: nn.Conv2d, uses: Sequence[_Use]) -> nn.Conv2d | None:
    """The convolution that gives what this one gave in each of its uses; None where there is none."""
    if not uses or len(uses[0].convolutions) != 1:
        return None
    _, weight, bias, stride, padding, dilation, _, _, groups = uses[0].convolutions[0]
    margins = uses[0].paddings[0][1] if uses[0].paddings else ()
    if weight is module.weight or weight.shape != module.weight.shape:
        return None
    made = (PaddedConv2d if any(margins) else nn.Conv2d)(
        module.in_channels, module.out_channels, tuple(weight.shape[2:]), tuple(stride), tuple(padding),
        tuple(dilation), groups, bias is not None,
    )  # fmt: skip
    made.weight = nn.Parameter(weight.detach().clone(), module.weight.requires_grad)
    if bias is not None:
        made.bias = bias if isinstance(bias, nn.Parameter) else nn.Parameter(bias.detach().clone())
    if isinstance(made, PaddedConv2d):
        made.margins = tuple(margins)
    return made.eval() if all(_same(module, made, use) for use in uses) else None


@torch.no_grad()
def _same(module: nn.Module, made: nn.Module, use: _Use) -> bool:
    other = use.read.flip(0) * 0.5 + 0.1
    for read, wanted in ((use.read, use.given), (other, module(other))):
        got = made(read)
        if got.shape != wanted.shape or not float((got - wanted).abs().max()) <= MOST_DIFFERENCE * float(
            wanted.abs().max()
        ):
            return False
    return True


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the convolutions and paddings within the forward passes of modules."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.uses: dict[str, list[_Use]] = {}
        self._convolutions: list[Sequence[Any]] = []
        self._paddings: list[Sequence[Any]] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and being kept from it would import the whole compiler: seconds

    def enter(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        del inputs
        self._convolutions, self._paddings = [], []

    def leave(self, name: str, _: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        use = _Use(inputs[0].clone(), output.clone(), tuple(self._convolutions), tuple(self._paddings))
        self.uses.setdefault(name, []).append(use)

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        name = func.overloadpacket.__name__
        if name == "convolution":
            self._convolutions.append(args)
        elif name == "constant_pad_nd":
            self._paddings.append(args)
        return func(*args, **(kwargs or {}))
