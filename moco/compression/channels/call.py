"""One call of an operator with the labels of the tensors that it reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from moco.compression.channels.algebra import Atoms, Labels

Axes = tuple[Labels, ...]
"""The labels of every axis of a tensor."""


@dataclass(frozen=True)
class Call:
    """One call of an operator.

    Attributes:
        args: as the operator got them, with `None` for what was left out.
        axes_of: the labels of a tensor's axes.
        output: the tensor that the operator gave, or the first of several.
        where: the module in whose forward pass the call is, as a reason for what it fixes.
    """

    args: Sequence[Any]
    axes_of: Callable[[torch.Tensor], Axes]
    output: torch.Tensor
    where: str
    atoms: Atoms

    def tensors(self) -> list[torch.Tensor]:
        """All tensors that the operator reads."""
        flat = [item for arg in self.args for item in (arg if isinstance(arg, list | tuple) else [arg])]
        return [item for item in flat if isinstance(item, torch.Tensor)]

    def arg(self, index: int, default: Any = None) -> Any:
        """The argument at that place, or the default where it was left out."""
        return self.args[index] if index < len(self.args) else default

    def fix_all(self, axes: Axes, what: str) -> None:
        """The channels along all of these axes must stay."""
        for labels in axes:
            self.atoms.fix(labels, f"{self.where} {what}")


Rule = Callable[[Call], Axes | list[Axes]]
"""The labels of the output, or of each of several."""
