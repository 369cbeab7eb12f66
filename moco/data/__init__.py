"""Labelled images: digits, MNIST, parquet files, torchvision's sets, or any torch data set."""

from __future__ import annotations

from moco.data.class_subset import of_classes
from moco.data.description import InputDescription
from moco.data.image_set import DataSets, ImageSet, Normalization
from moco.data.labels import same_classes
from moco.data.sources import SourceOptions, load_data
from moco.data.torch_dataset import from_torch

__all__ = [
    "DataSets",
    "ImageSet",
    "InputDescription",
    "Normalization",
    "SourceOptions",
    "from_torch",
    "load_data",
    "of_classes",
    "same_classes",
]
