"""The session of every target on this machine: when it refuses, and what it says where its runtime fails."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from moco.errors import MeasurementError, in_one_line
from moco.hardware.measuring.artifact_file import check_images
from moco.hardware.measuring.batch_memory import check_batch
from moco.interfaces import Artifact


def reason_of(error: Exception) -> str:
    """What an error says, in one line: moco's own as it stands, any other with the name of its class."""
    return str(error) if isinstance(error, MeasurementError) else in_one_line(error)


def text_of(error: Exception) -> str:
    """What an error says, in one line, without the name of its class."""
    return " ".join(str(error).split())


@dataclass(frozen=True)
class Failing:
    """How a runtime is called where it fails, and what it raises then."""

    runtime: str
    reason: Callable[[Exception], str] = reason_of
    errors: tuple[type[Exception], ...] = (Exception,)  # most runtimes' exceptions have no common base class

    @contextmanager
    def named(self, artifact: Artifact, what: str) -> Iterator[None]:
        """Within, the runtime's errors become a MeasurementError that names the file, what failed, and the reason."""
        try:
            yield
        except self.errors as error:
            raise MeasurementError(f"{artifact.path}: {self.runtime} {what}: {self.reason(error)}") from error


class LocalSession(ABC):
    """A file that is open on a runtime of this machine."""

    failing: ClassVar[Failing]
    in_host_memory = True  # whether the file's values lie in this machine's memory, and not in a device's

    def __init__(self, artifact: Artifact, input_shape: tuple[int, ...]) -> None:
        """Take the file that is open, and the shape of one image."""
        self.artifact, self.input_shape = artifact, input_shape
        self._is_open, self._fitting = True, 1  # a single image fits, or nothing does

    def close(self) -> None:
        """Free the runtime's memory of the file."""
        self._is_open = False
        self._free()

    def run(self, images: np.ndarray) -> np.ndarray:
        """Logits (n, classes) of normalised float32 images (n, channels, height, width).

        A MeasurementError refuses other images and a batch that does not fit into memory, and tells of a runtime that
        fails and of a session that is closed.
        """
        if not self._is_open:
            raise MeasurementError(f"{self.artifact.path}: the session is closed")
        check_images(images, self.input_shape, self.artifact)
        if len(images) > self._fitting:  # once a size: calls are timed
            if self.in_host_memory:
                check_batch(self.artifact, self.input_shape, len(images))
            self._fitting = len(images)
        with self.failing.named(self.artifact, "failed"):
            return self._logits(images)

    @abstractmethod
    def _logits(self, images: np.ndarray) -> np.ndarray:
        """The runtime's answer for images that were checked."""

    @abstractmethod
    def _free(self) -> None:
        """Let go of what the runtime holds; may be called twice."""
