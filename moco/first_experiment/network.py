"""Which network the experiment is of: as given, as the file of weights tells, or a small one in its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from moco.errors import ConfigError, nearest
from moco.first_experiment.images import FoundImages
from moco.models import build_model, model_names
from moco.models.cifar_resnet import ZOO as RESNETS
from moco.models.weight_shapes import Shapes, fits, weight_shapes
from moco.models.zoo import ZOO

SMALL = 64  # pixels: up to here a network for small images is guessed
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class FoundNetwork:
    """The section `model`."""

    name: str | None = None
    import_path: str | None = None
    weights: str | Path | None = None  # a file, or the name of published ones
    num_classes: int | None = None  # where they are not the data's
    train: bool = False
    found: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()

    @property
    def published(self) -> bool:
        """Whether its weights are those that torchvision publishes."""
        return self.weights == "DEFAULT"


def network_of(model: str | None, weights: Path | None, images: FoundImages, places: Sequence[Path]) -> FoundNetwork:
    """The network of that name or import path, with its weights where there are some.

    A ConfigError where there is no such network, or the weights are of none that moco knows by name.
    """
    file = weights if weights is not None else _only_file(places)
    if model is not None and ":" in model:
        return FoundNetwork(import_path=model, weights=file, found=_of_file(file))
    if model is not None and model not in (known := model_names()):
        raise ConfigError(f"--model: unknown model '{model}'{nearest(model, known)}; or your own, my.module:function")
    if file is None:
        return _without_weights(model, images)
    shapes = weight_shapes(file)
    classes = _classes(shapes)
    names = [model] if model is not None else _candidates(file)
    name = next((name for name in names if fits(name, classes, shapes)), None)
    if name is None:
        what = f"do not fit '{model}'" if model else "fit no network that moco knows by name; name it with --model"
        raise ConfigError(f"{file}: these weights {what}")
    own = classes if classes != images.classes else None
    return FoundNetwork(
        name, weights=file, num_classes=own, found=(f"weights of a {name} with {classes} classes in {file}",)
    )


def _without_weights(model: str | None, images: FoundImages) -> FoundNetwork:
    """A network that is trained on the spot, or torchvision's published one where that is meant."""
    of_torchvision = model is not None and model not in ZOO and "/" not in model
    if of_torchvision and images.classes in {None, IMAGENET_CLASSES}:
        return FoundNetwork(model, weights="DEFAULT", guessed=("no weights given: those that torchvision publishes",))
    if model is not None:
        return FoundNetwork(model, train=True, guessed=(f"no weights given: {model} is trained on the spot",))
    if images.source == "digits":
        name = "digits_resnet"
    else:
        side = max((max(size) for size in images.sizes), default=0)
        name = "cifar_resnet20" if side <= SMALL else "resnet18"
    return FoundNetwork(
        name, train=True, guessed=(f"no network given: a {name}, trained on the spot, stands for yours (--model)",)
    )


def _only_file(places: Sequence[Path]) -> Path | None:
    """The one file of weights in the places; None where there is none, or more than one."""
    files = [path for path in places if path.suffix == ".safetensors" and path.is_file()]
    folders = [place for place in places if place.is_dir()]
    files = files or [path for folder in folders for path in sorted(folder.glob("*.safetensors"))]
    found = {path.resolve(): path for path in files}
    return next(iter(found.values())) if len(found) == 1 else None


def _of_file(file: Path | None) -> tuple[str, ...]:
    return () if file is None else (f"weights in {file}",)


def _classes(shapes: Shapes) -> int | None:
    """Rows of the last matrix: the classes of a usual classifier."""
    rows = [shape[0] for shape in shapes.values() if len(shape) == 2]
    return rows[-1] if rows else None


def _candidates(file: Path) -> list[str]:
    """Names that the file's own name holds, the longest first, then moco's own ResNets."""
    words = re.sub(r"[^a-z0-9]", "", file.stem.lower())
    named = [name for name in model_names() if name.replace("_", "") in words]
    return list(dict.fromkeys([*sorted(named, key=len, reverse=True), *RESNETS]))


def input_channels(name: str) -> int:
    """The channels of the images that the network of that name takes; three where nothing tells."""
    try:
        with torch.device("meta"):
            network = build_model(name)
    except (ConfigError, NotImplementedError, RuntimeError):
        return 3
    return next((module.in_channels for module in network.modules() if isinstance(module, nn.Conv2d)), 3)
