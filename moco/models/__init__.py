"""Networks by name, their weights, and a user's own network by import path."""

from __future__ import annotations

from moco.models.import_path import import_object
from moco.models.training import train
from moco.models.weights import load_weights
from moco.models.zoo import build_model, model_names

__all__ = ["build_model", "import_object", "load_weights", "model_names", "train"]
