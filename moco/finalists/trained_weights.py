"""The weights that training gave to finalists, in the run folder: each file is known by the hash of its content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import nn

from moco.errors import RunFolderError
from moco.models.weights import load_weights
from moco.policy import Policy
from moco.run_folder.writing import write_weights
from moco.whole_file import write_bytes


class TrainedWeights:
    """The folder of trained weights."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, which need not be there yet."""
        self.folder = folder

    def checkpoint(self, policy: Policy, cycle: int) -> Path:
        """Where the training of a policy's network keeps its state until it is done."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{policy.key[:16]}-{cycle}.checkpoint.safetensors"

    def keep(self, network: nn.Module) -> str:
        """Write the network's weights, and give their hash."""
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.folder / "fresh.safetensors"
        write_weights(fresh, network)
        content = fresh.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        write_bytes(self._path(found), content)
        fresh.unlink()
        return found

    def load(self, weights: str, network: nn.Module) -> None:
        """Load the weights of that hash into a network of their structure, in place.

        A RunFolderError where they are gone or are others now, a DataError where they do not fit.
        """
        path = self._path(weights)
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise RunFolderError(f"{path}: trained weights that cannot be read: {error.strerror}") from None
        if found != weights:
            raise RunFolderError(f"{path}: the weights of a trained finalist were changed; search again")
        load_weights(network, path)

    def _path(self, weights: str) -> Path:
        return self.folder / f"{weights[:16]}.safetensors"
