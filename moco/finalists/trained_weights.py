"""The weights that training gave to finalists, in the run folder: each file is known by the hash of its content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import nn

from moco.errors import RunFolderError
from moco.models.weights import load_weights, weights_metadata
from moco.policy import Policy
from moco.run_folder.writing import write_weights
from moco.whole_file import write_bytes

CODES = "codes"
"""Key in a file's metadata of weights that were trained in integer codes."""


class TrainedWeights:
    """The folder of trained weights."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, which need not be there yet."""
        self.folder = folder

    def checkpoint(self, policy: Policy, cycle: int) -> Path:
        """Where the training of a policy's network keeps its state until it is done."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{policy.key[:16]}-{cycle}.checkpoint.safetensors"

    def keep(self, network: nn.Module, *, in_codes: bool = False) -> str:
        """Write the network's weights, and give their hash; the file says whether they were trained `in_codes`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.folder / "fresh.safetensors"
        write_weights(fresh, network, {CODES: "true"} if in_codes else None)
        content = fresh.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        write_bytes(self._path(found), content)
        fresh.unlink()
        return found

    def load(self, weights: str, network: nn.Module) -> None:
        """Load the weights of that hash into a network of their structure, in place.

        A RunFolderError where they are gone or are others now, a DataError where they do not fit.
        """
        load_weights(network, self._checked(weights))

    def in_codes(self, weights: str) -> bool:
        """Whether the weights were trained in integer codes; errors as `load`."""
        return CODES in weights_metadata(self._checked(weights))

    def _checked(self, weights: str) -> Path:
        path = self._path(weights)
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise RunFolderError(f"{path}: trained weights that cannot be read: {error.strerror}") from None
        if found != weights:
            raise RunFolderError(f"{path}: the weights of a trained finalist were changed; search again")
        return path

    def _path(self, weights: str) -> Path:
        return self.folder / f"{weights[:16]}.safetensors"
