"""Which channels must go together: atoms, ties between them, atoms that must stay, and the call that a rule looks at.

An atom is one place along one axis of a layer's tensors. Ties are only collected; what they say together is asked for
once, at the end, as the connected components of a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Labels = np.ndarray | None  # the atom at every place of one axis, 0 where the place always stays; None where all do

STAYS = 0


@dataclass
class Atoms:
    """The atoms of a network."""

    count: int = 1  # how many there are, the atom 0 included, which stands for all places that always stay
    # pairs of arrays of equal length whose atoms go together, place by place
    tied: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    fixed: list[tuple[np.ndarray, str]] = field(default_factory=list)  # atoms that must stay, with the reason

    def fresh(self, places: int) -> np.ndarray:
        """New atoms (places,), tied to nothing."""
        self.count += places
        return np.arange(self.count - places, self.count)

    def fix(self, labels: Labels, reason: str) -> None:
        """These atoms must stay."""
        if labels is not None and labels.any():
            self.fixed.append((labels[labels != STAYS], reason))

    def tie(self, first: Labels, second: Labels, reason: str) -> Labels:
        """What both axes are from now on: the same channels, place by place."""
        if first is None or second is None:
            self.fix(first if second is None else second, reason)
            return None
        both = (first != STAYS) & (second != STAYS)
        self.fix(first[~both], reason)
        self.fix(second[~both], reason)
        self.tied.append((first[both], second[both]))
        return first

    def tie_rows(self, rows: np.ndarray, reason: str) -> np.ndarray:
        """The first of these rows (n, places), of which all go together place by place."""
        for row in rows[1:]:
            self.tie(rows[0], row, reason)
        return np.asarray(rows[0])

    def classes(self) -> tuple[np.ndarray, dict[int, str]]:
        """The class (count,) of every atom, those of a class go together; and why the classes that must stay do."""
        classes = components(self.count, self.tied)
        reasons: dict[int, str] = {}
        for labels, reason in self.fixed:
            for found in np.unique(classes[labels]).tolist():
                reasons.setdefault(found, reason)
        reasons[int(classes[STAYS])] = ""
        return classes, reasons


def components(count: int, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The connected component (count,) of each of `count` nodes under these edges."""
    first = np.concatenate([np.empty(0, np.int64), *(pair[0] for pair in pairs)])
    second = np.concatenate([np.empty(0, np.int64), *(pair[1] for pair in pairs)])
    edges = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    return np.asarray(connected_components(edges, directed=False)[1])


Axes = tuple[Labels, ...]  # the labels of every axis of a tensor


@dataclass(frozen=True)
class Call:
    """One call of an operator."""

    args: Sequence[Any]  # as the operator got them, with `None` for what was left out
    axes_of: Callable[[torch.Tensor], Axes]
    output: torch.Tensor  # the tensor that the operator gave, or the first of several
    where: str  # the module in whose forward pass the call is, as a reason for what it fixes
    atoms: Atoms
    operator: str = ""  # its name

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


Rule = Callable[[Call], Axes | list[Axes]]  # the labels of the output, or of each of several
