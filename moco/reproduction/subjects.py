"""The networks that cards are measured on, by name, as sections of an experiment; and where their files are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from moco.errors import DataError
from moco.experiment.build import build_job, untracked
from moco.experiment.loading import experiment_of
from moco.reproduction.setting import Setting
from moco.whole_file import writes

FILES = "MOCO_CIFAR10"
"""The environment variable that names the folder of CIFAR-10 and its trained networks."""
USUAL_FILES = ("shared/data/cifar10", "../shared/data/cifar10")
"""Where they are looked for without it, relative to the current folder."""
TRAINING = {"epochs": 18, "learning_rate": 0.1, "batch_size": 64, "weight_decay": 1.0e-3}
"""Of the digits' network, as in the demo."""
GENTLY = {"epochs": 15, "learning_rate": 0.02, "batch_size": 32, "weight_decay": 5.0e-4}
"""Of a network without batch-norm, which the rate of TRAINING would break."""


@dataclass(frozen=True)
class Subject:
    """A network on its images.

    Attributes:
        told: the network and its images in words, as sentences name them.
        weights: file of trained weights in the folder of files; None where it is trained on the spot.
        splits: images by split.
        training: how it is trained where it has no file of weights.
    """

    name: str
    told: str
    model: str
    data: Mapping[str, Any]
    splits: Mapping[str, int]
    weights: str | None = None
    training: Mapping[str, float] = field(default_factory=lambda: TRAINING)


CIFAR = {
    "source": "parquet",
    "train": "train.parquet",
    "test": "test.parquet",
    "normalize": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
}
SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject(
            "digits_resnet",
            "a small ResNet on digits",
            "digits_resnet",
            {"source": "digits"},
            {"calibration": 256, "search": 297, "certification": 500},
        ),
        Subject(
            "cifar_resnet20",
            "ResNet-20 on CIFAR-10",
            "cifar_resnet20",
            CIFAR,
            {"calibration": 256, "search": 250, "certification": 1500},
            "resnet20_cifar10.safetensors",
        ),
        Subject(
            "cifar_resnet56",
            "ResNet-56 on CIFAR-10",
            "cifar_resnet56",
            CIFAR,
            {"calibration": 256, "search": 250, "certification": 1500},
            "resnet56_cifar10.safetensors",
        ),
        Subject(
            "mnist_lenet5",
            "LeNet-5 on MNIST",
            "lenet5_caffe",
            {"source": "mnist_5k"},
            {"calibration": 256, "search": 500, "certification": 1500},
            training=GENTLY,
        ),
    )
}
DIGITS, RESNET20, RESNET56, LENET = SUBJECTS.values()


def files_folder() -> Path:
    """The folder of CIFAR-10 and its networks; a DataError says what is missing and where it was looked for."""
    named = os.environ.get(FILES)
    looked = [Path(named)] if named else [Path(path) for path in USUAL_FILES]
    needed = sorted({"train.parquet", "test.parquet", *(s.weights for s in SUBJECTS.values() if s.weights)})
    for folder in looked:
        missing = [name for name in needed if not (folder / name).exists()]
        if not missing:
            return folder.resolve()
        if folder.exists() or named:
            raise DataError(
                f"{folder}: this card needs CIFAR-10 and its trained networks; missing: {', '.join(missing)}"
            )
    told = " and ".join(str(folder) for folder in looked)
    raise DataError(
        f"this card needs CIFAR-10 and its trained networks ({', '.join(needed)}), looked for in {told}: "
        f"give their folder in the environment variable {FILES}"
    )


def sections(subject: Subject, setting: Setting) -> dict[str, Any]:
    """The sections `model` and `data` of an experiment on the subject; splits are the seed's."""
    data = {**subject.data, "splits": dict(subject.splits)}
    if subject.weights is None:
        return {"model": {"name": subject.model, "weights": str(_trained(subject, setting))}, "data": data}
    assert setting.files is not None, "a card says where it needs files"
    paths = {key: str(setting.files / data[key]) for key in ("train", "test")}
    model = {"name": subject.model, "weights": str(setting.files / subject.weights)}
    return {"model": model, "data": {**data, **paths}}


def _trained(subject: Subject, setting: Setting) -> Path:
    """The file of weights of a network that is trained on the spot, once for all seeds and cards of a folder."""
    path = setting.folder / f"{subject.name}.safetensors"
    if not path.exists():
        setting.tell(f"training {subject.name}")
        given = {
            "name": "training",
            "model": {"name": subject.model, "train": dict(subject.training)},
            "data": {**subject.data, "splits": dict(subject.splits)},
            "space": {"groups": "per-block", "filter_pruning": {}},
            "objective": {"protocol": "front"},
        }
        network = build_job(untracked(experiment_of(given)), setting.folder / "run").network
        with writes(f"{setting.folder}: the trained network"):
            setting.folder.mkdir(parents=True, exist_ok=True)
            save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, str(path))
    return path
