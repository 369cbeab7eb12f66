"""Where a training stands, in a file: written whole while it goes on, and taken up after an interruption."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from moco.whole_file import write_bytes

FORMAT = "moco training 1"
EVERY_SECONDS = 30.0
"""Between two writings of a training that goes on; at its end its state is written in any case."""
EPOCH_SECONDS = 1.0
"""Between two writings at the ends of epochs: shorter epochs would be spent with writing."""
SAMPLED = 64
"""Images that stand for all in a fingerprint."""


@dataclass(frozen=True)
class Progress:
    """How far a training has come: the loss of each step that was made, and the seconds of the processor they took."""

    losses: tuple[float, ...] = ()
    seconds: float = 0.0


@dataclass
class Checkpoint:
    """The file of one training; without a path nothing is written, and every training begins at its beginning.

    Attributes:
        fingerprint: what the training is of; a file with another one is of another training.
    """

    path: Path | None
    network: nn.Module
    optimizer: torch.optim.Optimizer
    fingerprint: str
    _written_at: float = field(default_factory=time.monotonic)

    def taken_up(self) -> Progress:
        """Put network and optimizer where the file says that the training stands, and give its progress.

        A file that is damaged, or of another training, is left unused, which a warning says.
        """
        if self.path is None or not self.path.is_file():
            return Progress()
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = dict(file.metadata() or {})
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        except (SafetensorError, OSError) as error:
            return self._begun_anew(f"it cannot be read ({error})")
        if metadata.get("fingerprint") != self.fingerprint or tensors.get("losses") is None:
            return self._begun_anew("it is of another training")
        self._restore(tensors)
        losses, seconds = tensors["losses"], float(tensors["seconds"])
        return Progress(tuple(losses.tolist()), seconds)

    def due(self, *, epoch_ends: bool = False) -> bool:
        """Whether it is time to write, which at the end of an epoch it is sooner."""
        least = EPOCH_SECONDS if epoch_ends else EVERY_SECONDS
        return self.path is not None and time.monotonic() - self._written_at >= least

    def write(self, progress: Progress) -> None:
        """Write where the training stands, between two steps; a RunFolderError where that fails."""
        if self.path is None:
            return
        tensors = {name: tensor.detach() for name, tensor in self._tensors().items()}
        tensors["losses"] = torch.tensor(progress.losses, dtype=torch.float64)
        tensors["seconds"] = torch.tensor(progress.seconds, dtype=torch.float64)
        copies = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
        write_bytes(self.path, save(copies, {"format": FORMAT, "fingerprint": self.fingerprint}))
        self._written_at = time.monotonic()

    def _begun_anew(self, why: str) -> Progress:
        warnings.warn(f"{self.path}: {why}; the training begins anew and will write over it", stacklevel=2)
        return Progress()

    def _tensors(self) -> dict[str, Tensor]:
        """All that a step changes, by its name in the file."""
        found = {f"network.{name}": tensor for name, tensor in _named(self.network)}
        for place, parameter in enumerate(self._parameters()):
            state: Mapping[str, Any] = self.optimizer.state.get(parameter, {})
            found |= {f"optimizer.{place}.{key}": value for key, value in state.items() if isinstance(value, Tensor)}
        return found

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _restore(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in _named(self.network):
                tensor.copy_(tensors[f"network.{name}"])
        parameters = self._parameters()
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, place, key = name.split(".", 2)
                parameter = parameters[int(place)]
                held = torch.empty_like(parameter if tensor.shape == parameter.shape else tensor)
                self.optimizer.state[parameter][key] = held.detach().copy_(tensor)


def fingerprint_of(network: nn.Module, images: Tensor, plan: object) -> str:
    """A hash of what a training starts from: the network with its weights, a sample of the images, the plan's text."""
    digest = hashlib.sha256(f"{FORMAT} {torch.__version__} {plan} {tuple(images.shape)}".encode())
    sample = images[:: max(1, len(images) // SAMPLED)]
    for name, tensor in (*_named(network), ("images", sample)):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _named(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()
