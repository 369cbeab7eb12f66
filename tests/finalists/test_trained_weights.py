"""The files of trained weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from moco.errors import RunFolderError
from moco.finalists.trained_weights import TrainedWeights


def test_weights_come_back_by_their_hash(tmp_path: Path) -> None:
    kept, one, other = TrainedWeights(tmp_path / "finalists"), nn.Linear(3, 2), nn.Linear(3, 2)
    name = kept.keep(one)
    assert kept.keep(one) == name != kept.keep(other)
    kept.load(name, other)
    assert torch.equal(one.weight, other.weight)
    assert len(list(kept.folder.iterdir())) == 2


def test_weights_that_are_gone_or_were_changed_are_refused(tmp_path: Path) -> None:
    kept, network = TrainedWeights(tmp_path), nn.Linear(3, 2)
    name = kept.keep(network)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(RunFolderError, match=r"the weights of a trained finalist were changed; search again$"):
        kept.load(name, network)
    file.unlink()
    with pytest.raises(RunFolderError, match=r"trained weights that cannot be read: No such file"):
        kept.load(name, network)
