"""A delivered network, read back into its own class."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

import moco
from moco.compression.methods.low_rank import SvdRank, TuckerRanks
from moco.compression.precision import Bits
from moco.errors import DataError, SpaceError
from moco.interfaces import Artifact
from moco.models import build_model
from moco.recovery.batch_norm import BatchNormStep
from moco.recovery.recovery import RecoveryPlan
from moco.run_folder.writing import write_network
from tests.compression.toys import images, randomized
from tests.evaluation.builders import builder_of
from tests.policies import policy_of

EVERYTHING = policy_of(
    {"layer1.0.conv1": (20, 32), "layer2.0.conv1": (33, 64)},
    {"layer1.1.conv2": Bits(4, 8), "linear": "int8"},
    refitted={"layer2.0.conv1"},
    factors={"layer2.1.conv1": TuckerRanks(10, 20), "linear": SvdRank(5)},
    weights_kept={"layer1.0.conv2": (1000, 20 * 32 * 9)},
)


def logits(session: ort.InferenceSession, batch: torch.Tensor) -> np.ndarray:
    return np.asarray(session.run(None, {"input": batch.numpy()})[0])


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network to which everything was done but the integers, and its file."""
    from moco.compression.collecting import CalibrationData
    from moco.compression.compressor import Compressor

    folder = tmp_path_factory.mktemp("saved")
    network, calibration = randomized(build_model("digits_resnet", 10), 0), images(32, 1, 8)
    compressor = Compressor.of(network, calibration[:2]).prepared_for((), CalibrationData(calibration, None))
    builder = builder_of(compressor, calibration.numpy(), RecoveryPlan((BatchNormStep(),)), folder / "files")
    artifact, thin = builder.build(EVERYTHING)
    assert isinstance(artifact, Artifact)
    write_network(folder / "best", artifact, EVERYTHING, "digits_resnet", thin)
    return folder / "best"


def test_it_gives_what_was_delivered_in_the_users_own_class(delivered: Path) -> None:
    fresh, batch = build_model("digits_resnet", 10), images(8, 1, 8)
    loaded = moco.load_network(fresh, delivered, batch)

    assert type(loaded) is type(fresh)
    assert loaded.layer1[0].conv1.weight.shape[0] == 20
    assert [len(layer) for layer in (loaded.layer2[1].conv1, loaded.linear)] == [3, 2]
    assert int((loaded.layer1[0].conv2.weight != 0).sum()) == 1000
    with torch.no_grad():
        expected = loaded(batch).numpy()
    got = logits(ort.InferenceSession(delivered / "model.onnx"), batch)
    # The file holds 4- and 8-bit layers, the network floats: alike, not equal.
    assert np.abs(got - expected).max() < 0.3 * np.abs(expected).max()
    assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.95


def test_another_network_or_other_weights_are_refused(delivered: Path, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="was it made for another network"):
        moco.load_network(build_model("cifar_resnet20"), delivered, images(2, 3, 32))
    shutil.copytree(delivered, tmp_path / "best")
    policy = json.loads((tmp_path / "best" / "policy.json").read_text())
    policy["groups"]["layer1.0.conv1"]["filter_pruning"]["keep"] = 19
    (tmp_path / "best" / "policy.json").write_text(json.dumps(policy))
    with pytest.raises(DataError, match=r"of another shape \(layer1\.0\."):
        moco.load_network(build_model("digits_resnet", 10), tmp_path / "best", images(2, 1, 8))
