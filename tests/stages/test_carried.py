"""What a stage hands on: its policy and its trained weights, to the last bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from moco.compression.compressor import Compressor
from moco.errors import CompressionError, ConfigError
from moco.evaluation.base_network import BaseNetwork
from moco.evaluation.builder import Builder
from moco.policy import Policy
from moco.recovery.batch_norm import BatchNormStep
from moco.recovery.recovery import RecoveryPlan
from tests.app.tiny import moco, one_line, read
from tests.compression.toys import images, tiny
from tests.export.graphs import run
from tests.policies import policy_of
from tests.stages.conftest import Finished
from tests.stages.small import BITS, sections

CALIBRATION, IMAGES = images(24, 1, 8, seed=5).numpy(), images(40, 1, 8, seed=6)
WIDTHS = {"layer1.0.conv1": (3, 8), "layer2.0.conv2": (9, 16)}
PRUNED = policy_of(WIDTHS, {})
SPARSE = {"layer1.0.conv2": {"sparsity": {"keep": 100, "of": 216}}}
COMPRESSOR = Compressor.of(tiny(), images(2, 1, 8))


def _above(policy: Policy, more: dict[str, dict[str, object]]) -> Policy:
    settings = {name: dict(one) for name, one in policy.settings.items()}
    for name, one in more.items():
        settings.setdefault(name, {}).update(one)
    return Policy.of(settings)


@pytest.fixture
def base() -> BaseNetwork:
    """A pruned network whose weights some training has moved."""
    network = COMPRESSOR.structure(PRUNED)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return BaseNetwork(PRUNED, network.eval())


@pytest.fixture
def builder(base: BaseNetwork, tmp_path: Path) -> Callable[..., Builder]:
    def made(*steps: BatchNormStep) -> Builder:
        return Builder(COMPRESSOR, CALIBRATION, RecoveryPlan(steps), tmp_path / "files", base=base)

    return made


def _logits(network: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = network(IMAGES)
    return found


def test_the_base_s_own_policy_is_its_network_bit_by_bit(base: BaseNetwork, builder: Callable[..., Builder]) -> None:
    artifact, network = builder().build(PRUNED)
    assert torch.equal(_logits(network), _logits(base.network))
    assert not torch.equal(_logits(network), _logits(COMPRESSOR.compress(PRUNED)))  # the original's weights
    of_file = run(onnx.load(artifact.path), IMAGES.numpy())
    np.testing.assert_allclose(of_file, _logits(base.network).numpy(), rtol=1e-3, atol=1e-4)


def test_above_the_base_only_what_is_new_is_done(base: BaseNetwork, builder: Callable[..., Builder]) -> None:
    network = builder().compressed(_above(PRUNED, SPARSE))
    state, before = network.state_dict(), base.network.state_dict()
    changed = [name for name, tensor in before.items() if not torch.equal(state[name], tensor)]
    assert changed == ["layer1.0.conv2.weight"]
    kept = state["layer1.0.conv2.weight"]
    assert int(torch.count_nonzero(kept)) <= 100
    assert torch.equal(kept[kept != 0], before["layer1.0.conv2.weight"][kept != 0])


def test_no_candidate_changes_the_base(base: BaseNetwork, builder: Callable[..., Builder]) -> None:
    before = {name: tensor.clone() for name, tensor in base.network.state_dict().items()}
    builder(BatchNormStep()).compressed(_above(PRUNED, SPARSE))
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.network.state_dict().items())


@pytest.mark.parametrize("policy", [Policy.of({}), policy_of({"layer1.0.conv1": (4, 8)}, {})])
def test_a_policy_that_does_not_hold_the_base_begins_with_the_original(
    policy: Policy, builder: Callable[..., Builder]
) -> None:
    assert torch.equal(_logits(builder().compressed(policy)), _logits(COMPRESSOR.compress(policy)))


def test_channels_cannot_go_where_the_base_s_layers_have_other_shapes() -> None:
    factored = Policy.of({"layer2.0.conv2": {"tucker": {"ranks": [4, 4]}}})
    network = BaseNetwork(factored, COMPRESSOR.structure(factored))
    both = _above(factored, {"layer1.0.conv1": {"filter_pruning": {"keep": 3, "of": 8}}})
    with pytest.raises(CompressionError, match=r"^space\.base: channels cannot be removed after 'factorisation'"):
        network.beginning(COMPRESSOR, both, COMPRESSOR.kept(both))


def test_a_search_s_first_network_is_the_file_that_the_stage_before_delivered(finished: Finished) -> None:
    first, second = (finished.out / stage.folder for stage in finished.record.stages[:2])
    start = read(second / "trials.json")[0]
    delivered = read(first / "result.json")["best"]
    assert start["policy"] == delivered["policy"] != {}
    assert start["evaluation"]["artifact_sha256"] == delivered["sha256"]
    trained = read(first / "trials.json")[delivered["trial"]]["evaluation"]
    assert trained["details"]["before_recovery"]["top1_error"] != trained["metrics"]["top1_error"][0]


def test_each_stage_keeps_what_those_before_it_found(finished: Finished) -> None:
    best = [stage.best for stage in finished.record.stages]
    policies = [dict(one.policy) for one in best if one is not None and one.policy is not None]
    assert len(policies) == 3
    for earlier, later in pairwise(policies):
        for layer, settings in earlier.items():
            assert settings.items() <= later[layer].items()
    first, _, last = (stage.kept for stage in finished.record.stages)
    assert (first, [text.split(" (")[0] for text in last]) == ((), ["channel pruning", "sparsity"])


def test_weights_without_a_base_are_refused(tmp_path: Path) -> None:
    given = sections(BITS)
    given.pop("stages")
    given["space"] |= {**BITS["space"], "base_weights": "w.safetensors"}
    path = tmp_path / "alone.yaml"
    path.write_text(json.dumps(given))
    line = one_line(moco("search", path, "--out", tmp_path / "run"), ConfigError.exit_code)
    assert line == "space: 'base_weights' are of a 'base', and there is none; name the policy.json beside them"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("absent.safetensors", "cannot be read: No such file or directory"),
        ("policy.json", "policy.json"),
    ],
)
def test_weights_that_are_not_there_or_do_not_fit_are_one_line(
    name: str, line: str, finished: Finished, tmp_path: Path
) -> None:
    best = finished.out / finished.record.stages[0].folder / "best"
    given = sections(BITS)
    given.pop("stages")
    space = {**BITS["space"], "channel_pruning": {"keep": [0.4, 0.9]}}
    given["space"] |= {**space, "base": str(best / "policy.json"), "base_weights": str(best / name)}
    path = tmp_path / "alone.yaml"
    path.write_text(json.dumps(given))
    said = moco("search", path, "--out", tmp_path / "run")
    told = one_line(said, said.exit_code)
    assert told.startswith("space.base_weights: ")
    assert line in told
