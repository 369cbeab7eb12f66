"""What a baseline is, and what it is made from. It is made once, beside the search, and its file is then measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import nn

from moco.evaluation.builder import Builder
from moco.interfaces import Artifact, Capabilities
from moco.models.trained import Task
from moco.policy import Policy
from moco.trial import MetricValue


@dataclass(frozen=True)
class Ground:
    """What a search has that baselines are made from.

    Attributes:
        builder: of the search's candidates: its network, calibration images, folder of files, and ranges.
        reference: the uncompressed network's file.
        task: the images' shape and as many classes as the network has outputs.
        training: gives the training images (n, channels, height, width), normalised, and their labels (n,).
        seed: of all that a baseline draws.
    """

    builder: Builder
    reference: Artifact
    capabilities: Capabilities
    task: Task
    training: Callable[[], tuple[NDArray[np.float32], NDArray[np.int64]]]
    seed: int = 0


@dataclass(frozen=True)
class Made:
    """A baseline's file, and what is known of it.

    Attributes:
        costs: the exact costs, as far as they are known.
        note: what its processor seconds leave out.
        of, policy, network: of a network of its own, its name, what was done to it, and the network that the file was
            exported from; None where that is not at hand.
    """

    name: str
    artifact: Artifact
    costs: Mapping[str, MetricValue] = field(default_factory=dict)
    note: str | None = None
    of: str | None = None
    policy: Policy | None = None
    network: nn.Module | None = None


@dataclass(frozen=True)
class Baseline(ABC):
    """One entry of the section `baselines`.

    Attributes:
        where: its key path in the experiment, for messages.
        name: for people; the networks that are made of it are called so, or begin with it.
    """

    where: str
    name: str

    @property
    def may_be_delivered(self) -> bool:
        """Whether its networks are candidates too."""
        return False

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know of it, a line each."""
        return ()

    def fits(self, capabilities: Capabilities) -> bool:  # noqa: ARG002
        """Whether the target runs what it makes."""
        return True

    def check(self, ground: Ground) -> None:  # noqa: ARG002
        """Pass what can be made of this network and its images, before the search; a ConfigError says what cannot."""
        return

    @abstractmethod
    def make(self, ground: Ground) -> Iterator[Made]:
        """Its networks, each when it is asked for; a MocoError says why one cannot be made."""


def costs_of(costs: Mapping[str, float], names: tuple[str, ...] | None = None) -> dict[str, MetricValue]:
    """The exact costs of these names, or all of them, as metrics."""
    return {name: MetricValue(float(cost)) for name, cost in costs.items() if names is None or name in names}
