"""The sections `model` and `data` of an experiment: what is compressed, and on which images."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from moco.experiment.schema_base import Count, Pixels, Positive, Rate, Section

IMPORT_PATH = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z")


def _import_path(value: str | None) -> str | None:
    if value is not None and not IMPORT_PATH.match(value):
        raise ValueError(f"expected 'package.module:attribute', got {value!r}")
    return value


ImportPath = Annotated[str | None, AfterValidator(_import_path)]


class TrainConfig(Section):
    """Training on the spot, for small networks; what is not given is the default of moco.models.training."""

    epochs: Count | None = None
    learning_rate: Rate | None = None
    batch_size: Count | None = None
    weight_decay: Annotated[float, Field(ge=0, le=100)] | None = None


class ModelConfig(Section):
    """The network: of the zoo, of torchvision or of timm by name, or the user's own by import path."""

    name: str | None = None
    import_path: ImportPath = Field(default=None, alias="import")
    weights: str | None = None
    num_classes: Count | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    train: TrainConfig | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> ModelConfig:
        if (self.name is None) == (self.import_path is None):
            raise ValueError("expected either 'name' or 'import', got " + ("neither" if self.name is None else "both"))
        if self.weights is not None and self.train is not None:
            raise ValueError("expected 'weights' or 'train', got both")
        return self


class NormalizeConfig(Section):
    """Mean and standard deviation of each channel, of pixels in [0, 1]."""

    mean: Annotated[tuple[float, ...], Field(min_length=1)]
    std: Annotated[tuple[Positive, ...], Field(min_length=1)]


class SplitsConfig(Section):
    """Images in each split; calibration is taken from the training set, the other two from the test set.

    Without a number, calibration takes 512 and search 1000, of smaller sets a half, and certification all that is left.
    Where `search_from` is `train`, search is taken from the training set, without a number a fifth of it.
    """

    calibration: Count | None = None
    search: Count | None = None
    certification: Count | None = None
    search_from: Literal["test", "train"] | None = None  # None, which is test, so that older experiments stay the same


Sides = Pixels | tuple[Pixels, Pixels]
"""One number, or height and width, in pixels."""


class DataConfig(Section):
    """The images."""

    source: Literal["digits", "mnist_5k", "parquet", "cifar10", "imagefolder", "import", "python"]
    train: str | None = None
    test: str | None = None
    root: str | None = None
    import_path: ImportPath = Field(default=None, alias="import")
    image_column: str | None = None
    label_column: str | None = None
    channels: Annotated[int, Field(ge=1, le=1024)] | None = None
    resize: Sides | None = None
    crop: Sides | None = None
    normalize: NormalizeConfig | None = None
    classes: list[Annotated[int, Field(ge=0)] | str] | None = None
    splits: SplitsConfig = SplitsConfig()
    allow_duplicates: bool | None = None  # None, which is no, so that older experiments stay the same ones

    @model_validator(mode="after")
    def _import_goes_with_its_source(self) -> DataConfig:
        if (self.source == "import") != (self.import_path is not None):
            raise ValueError(f"source 'import' and the key 'import' belong together, got source '{self.source}'")
        return self
