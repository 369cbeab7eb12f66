"""What a step of recovery is: how a search gives a compressed network back some of its accuracy (docs/recovery.md).

A step is made of its options. A search prepares it once for the network, then applies it to each candidate that it
changes. The same candidate must always give the same weights, bit by bit: what is delivered is built a second time.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from moco.compression.channels.groups import ChannelGraph
from moco.policy import Policy


@dataclass(frozen=True)
class PrunedGroups:
    """The channel groups from which a search may take channels; `refitted` are those whose method refits readers."""

    groups: frozenset[str] = frozenset()
    refitted: frozenset[str] = frozenset()


class Moment(IntEnum):
    """When a step acts, in this order; steps of one moment act in the order in which they are listed."""

    AFTER_PRUNING = 1
    """Channels are gone, layers are not factorised yet."""
    AFTER_SURGERY = 2
    """The structure is final, the weights are not trained."""
    TRAINING = 3
    """Last, as the one way of training; a search takes one at most."""


@dataclass(frozen=True)
class RecoveryContext:
    """What a step is prepared from; it must leave all of it as it is.

    Attributes:
        network: the original network, in evaluation mode.
        images: the calibration images, normalised, (n, channels, height, width).
        seed: of all that a step draws; derive one by the step's name (moco.randomness).
        training: the training images, normalised, (n, channels, height, width), and their labels (n,); None where no
            step of the search needs them.
    """

    network: nn.Module
    graph: ChannelGraph
    images: Tensor
    seed: int
    training: tuple[Tensor, Tensor] | None = None

    def copied_for(self, step: RecoveryStep) -> RecoveryContext:
        """A context of which nothing can be changed that this one holds, for a step of others."""
        training = self.training if step.needs_training_images else None
        return dataclasses.replace(
            self,
            network=copy.deepcopy(self.network),
            images=self.images.clone(),
            training=None if training is None else (training[0].clone(), training[1].clone()),
        )

    @property
    def training_set(self) -> tuple[Tensor, Tensor]:
        """The training images and labels, for a step that says that it needs them."""
        assert self.training is not None, "the step needs training images and does not say so"
        return self.training


@dataclass(frozen=True)
class Candidate:
    """A compressed copy of the network on its way through the steps.

    Attributes:
        network: the copy, in evaluation mode; a step may change its weights in place.
        kept: by channel group, the indices of the original's channels that stay; groups not named stayed whole.
        kept_of_batch_norms: the same by batch-norm.
    """

    network: nn.Module
    policy: Policy
    kept: Mapping[str, np.ndarray]
    kept_of_batch_norms: Mapping[str, Tensor]


class RecoveryStep(ABC):
    """One step of recovery; the base of all of them.

    Attributes:
        name: as it is registered and written in an experiment.
        Options: a frozen dataclass of its options, each with a default.
        needs_training_images: whether it reads `RecoveryContext.training_set`. Calibration images are always there.
        takes_function: whether its one option is a function of the user's, written `import: "package.module:function"`.
        keeps_whole_ranges: whether its networks have learned to live with whole ranges of activations, so that the
            export must not estimate narrower ones.
        key_place: of moco's first steps alone, where the text of the store's key has them.
    """

    name: ClassVar[str]
    Options: ClassVar[type[Any]]
    moment: ClassVar[Moment]
    needs_training_images: ClassVar[bool] = False
    takes_function: ClassVar[bool] = False
    keeps_whole_ranges: ClassVar[bool] = False
    key_place: ClassVar[int | None] = None

    def __init__(self, options: Any = None) -> None:
        """Take the options, an instance of `Options`; None takes the defaults."""
        self.options = self.Options() if options is None else options

    def changes(self, policy: Policy) -> bool:
        """Whether the step changes the policy's network; by default it does where the policy changes anything."""
        return bool(policy.settings)

    def prepare(self, context: RecoveryContext) -> Any:  # noqa: ARG002
        """Find once what all candidates share; by default nothing."""
        return None

    @abstractmethod
    def apply(self, candidate: Candidate, context: RecoveryContext, prepared: Any) -> nn.Module:
        """The candidate's network, changed in place, or another network of the same structure, in evaluation mode.

        Raises:
            CompressionError: it cannot be recovered; the layer is named.
        """

    def warnings(self, pruned: PrunedGroups, context: RecoveryContext, prepared: Any) -> Iterable[str]:  # noqa: ARG002
        """Of what a search may prune, a line for each layer that the step will leave alone though it is meant."""
        return ()

    def written(self) -> str:
        """What a stored evaluation depends on: by default name, options and the source of the step's class."""
        options = {field.name: getattr(self.options, field.name) for field in dataclasses.fields(self.options)}
        return f"{written(self.name, options)} {source_hash(type(self))}"


def written(title: str, values: Mapping[str, object]) -> str:
    """The values by name, as stores have held dataclasses since the first version."""
    return f"{title}({', '.join(f'{name}={value!r}' for name, value in values.items())})"


def source_hash(code: Any) -> str:
    """16 digits that change with the source of a class, a function (also a partial one) or an object's class."""
    target, given = code, ""
    if isinstance(code, functools.partial):
        target, given = code.func, f"{code.args} {sorted(code.keywords.items())}"
    try:
        source = inspect.getsource(target if inspect.isroutine(target) or inspect.isclass(target) else type(target))
    except (OSError, TypeError):  # it has no source: its name must do
        source = ""
    return hashlib.sha256(f"{source}{given}".encode()).hexdigest()[:16]
