"""The trained network of a specification: built, given its weights or trained on the spot, and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from moco.errors import ConfigError, DataError, in_one_line
from moco.models.import_path import called
from moco.models.timm_zoo import PREFIX as TIMM
from moco.models.training import TrainingPlan, seeded_torch, train
from moco.models.weights import is_published, load_weights
from moco.models.zoo import build_model
from moco.randomness import derived_seed

TrainingImages = Callable[[int], tuple[NDArray[np.float32], NDArray[np.int64]]]
"""Training images (n, channels, height, width), normalised, and their labels (n,), for a network of so many outputs."""


@dataclass(frozen=True)
class ModelSpec:
    """The network that is compressed: by a name that `build_model` knows, or the user's own by import path."""

    name: str | None = None
    import_path: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    num_classes: int | None = None  # None takes those of the images
    weights: str | None = None  # as `load_weights` takes them
    train: TrainingPlan | None = None  # how it is trained on the spot; None where it is not
    seed: int = 0  # of the run
    folder: Path | None = None  # searched for modules of the user's own
    allow_import: bool = False  # whether these may be imported

    @property
    def shown(self) -> str:
        """Its name for people and for policy.json."""
        return str(self.name or self.import_path)

    @property
    def distributions(self) -> tuple[str, ...]:
        """The distributions that it needs beside moco's own: their versions are recorded."""
        return ("timm",) if self.shown.startswith(TIMM) else ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Says that a network of the zoo was not trained; a user's own function may well give a trained one."""
        if self.import_path is not None or self.weights is not None or self.train is not None:
            return ()
        return ("model: neither 'weights' nor 'train' is given: the network's weights are random",)


@dataclass(frozen=True)
class Task:
    """What a network is for: images of a shape (channels, height, width) in so many classes; `images` names them."""

    shape: tuple[int, ...]
    classes: int
    images: str
    least: int | None = None  # outputs that its labels need; None takes the classes


def trained_network(model: ModelSpec, task: Task, training: TrainingImages) -> nn.Module:
    """The trained network, in evaluation mode; `training` is asked for only where it is trained on the spot.

    A ConfigError or DataError where the model is unknown, or weights or a data set do not fit it.
    """
    network = _built(model, task.classes)
    if model.weights is not None:
        try:
            load_weights(network, model.weights, model.name)
        except DataError as error:
            published = is_published(model.weights, model.name)  # a download may well fail by itself
            kind = DataError if published else ConfigError
            raise kind(f"model.weights: {error}") from error
    outputs = check_fit(network.eval(), task)
    if model.train is not None:
        images, labels = training(outputs)
        train(network, images, labels, plan=model.train, seed=derived_seed(model.seed, "training"))
    return network.eval()


def check_fit(network: nn.Module, task: Task) -> int:
    """The outputs of a network that takes the images and gives a logit for each class; a DataError for another."""
    with torch.no_grad():
        try:
            logits = network(torch.zeros(1, *task.shape))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a user's network may raise anything, and exit
            raise DataError(_misfit(network, task, error)) from error
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or logits.shape[1] < (task.least or task.classes):
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise DataError(f"the network gives {got}, {task.images} has {task.classes} classes; expected (1, classes)")
    return int(logits.shape[1])


def _misfit(network: nn.Module, task: Task, error: BaseException) -> str:
    """Why the network does not take the images: by its first convolution's channels, where these are others."""
    first = next(((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d)), None)
    if first is None or first[1].in_channels == task.shape[0]:
        return f"the network does not take images of shape {task.shape} from {task.images}: {in_one_line(error)}"
    name, takes = first[0], first[1].in_channels
    channels = "1 channel" if takes == 1 else f"{takes} channels"
    return (
        f"the network takes images of {channels} (its first convolution, '{name}'), those of {task.images} "
        f"have the shape {task.shape}: set data.channels: {takes}, or give a network that takes {task.shape[0]}"
    )


def network_hash(network: nn.Module) -> str:
    """SHA-256 over the network's structure and tensors: what tells one trained network from another."""
    digest = hashlib.sha256(str(network).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def _built(model: ModelSpec, classes: int) -> nn.Module:
    """The network before it is trained."""
    if model.import_path is not None:
        network = called(model.import_path, "model.import", model.folder, allowed=model.allow_import, **model.options)
        if not isinstance(network, nn.Module):
            raise ConfigError(
                f"model.import: '{model.import_path}' gave a {type(network).__name__}, expected a torch.nn.Module"
            )
        return network
    if "num_classes" in model.options:
        raise ConfigError("model.options.num_classes: write it as model.num_classes")
    with seeded_torch(derived_seed(model.seed, "network")):
        return build_model(str(model.name), model.num_classes or classes, **model.options)
