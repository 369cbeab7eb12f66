"""Being told of every module that a forward pass enters and leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import nn


@contextmanager
def watching(network: nn.Module, enter: Callable[..., Any], leave: Callable[..., Any]) -> Iterator[None]:
    """Within, forward passes call enter(name, module, inputs) and leave(name, module, inputs, output), as hooks do."""
    with ExitStack() as hooks:
        for name, module in network.named_modules():
            hooks.enter_context(module.register_forward_pre_hook(partial(enter, name)))
            hooks.enter_context(module.register_forward_hook(partial(leave, name)))
        yield
