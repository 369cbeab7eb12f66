"""What every target checks of a file and of the images that it is given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from moco.errors import MeasurementError
from moco.interfaces import Artifact


def content_of(artifact: Artifact) -> bytes:
    """The bytes of the very file that the artefact names (W08); a MeasurementError where it is absent or another."""
    try:
        content = artifact.path.read_bytes()
    except OSError as error:
        raise MeasurementError(f"{artifact.path}: cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != artifact.sha256:
        raise MeasurementError(f"{artifact.path}: the file's SHA-256 is not the artefact's; it was changed since")
    return content


def check_images(images: np.ndarray, shape: Sequence[int], artifact: Artifact) -> None:
    """Pass float32 images (n, *shape); a MeasurementError refuses another type or shape."""
    if images.dtype != np.float32 or images.shape[1:] != tuple(shape):
        expected = f"float32 images (n, {', '.join(map(str, shape))})"
        raise MeasurementError(f"{artifact.path}: expected {expected}, got {images.dtype} {images.shape}")
