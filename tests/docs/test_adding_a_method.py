"""The method of docs/adding_a_method.md, as pasted: a package of its own that takes part in everything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from moco import registry
from moco.compression.compressor import Compressor, compress
from moco.compression.policy_settings import checked_policy
from moco.compression.space.codec import cost_of
from moco.compression.space.layer_groups import grouped
from moco.compression.space.network_space import network_space, space_summary
from moco.encoding import decode
from moco.errors import CompressionError, ConfigError, SpaceError
from moco.policy import Policy
from moco.recovery.recovery import RecoveryPlan
from tests.app.tiny import moco, read, settings
from tests.compression.space.test_codec import TARGET, TINY
from tests.compression.spaces import options_of
from tests.compression.toys import images
from tests.docs.pages import block, install
from tests.evaluation.builders import builder_of

PAGE = "adding_a_method.md"


@pytest.fixture
def shared_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type:
    (tmp_path / "site").mkdir()
    install(PAGE, tmp_path / "site", monkeypatch)
    found: type = registry.plugin("method", "shared_weights")
    return found


def test_it_stands_in_a_space_beside_the_others(shared_weights: type) -> None:
    found = grouped(TINY.network, TINY.counts, TINY.graph, "per-block")
    options = options_of(precisions=("float32", "int8"), further=[shared_weights()])
    space, rng = network_space(found, TINY.counts, TINY.costs, options, TARGET), np.random.default_rng(0)
    assert space.distributions["layer2.1.levels"].choices == ("all", "64", "16", "4")
    assert space.canonical(space.neutral) == Policy.of({})
    assert "shared weights of 2 layers" in str(space_summary(space))
    seen = set()
    for _ in range(20):
        policy = space.canonical(decode(space, rng.random(len(space.distributions))))
        assert space.canonical(space.codec.point(policy)) == policy
        for setting in policy.settings.values():
            seen |= setting.keys()
            assert not {"shared_weights", "precision"} <= setting.keys(), "int8 comes first, and excludes it"
    assert seen == {"filter_pruning", "precision", "shared_weights"}


@torch.no_grad()
def test_it_is_applied_priced_and_proven(shared_weights: type, tmp_path: Path) -> None:
    policy = checked_policy({"layer1.0.conv1": {"shared_weights": {"levels": 4}}})
    whole, shared = cost_of(TINY.costs, Policy.of({})), cost_of(TINY.costs, policy)
    weights = TINY.costs.weights("layer1.0.conv1", {})
    assert (whole["packed_size_mb"] - shared["packed_size_mb"]) * 1e6 == pytest.approx(weights * 30 / 8 - 4 * 4)
    assert shared["macs"] == whole["macs"]

    artifact, thin = builder_of(TINY, images(16, 1, 8).numpy(), RecoveryPlan(), tmp_path / "files").build(policy)
    assert len(thin.get_submodule("layer1.0.conv1").weight.unique()) == 4
    assert artifact.path.is_file()


@torch.no_grad()
def test_a_file_that_was_not_made_so_is_refused(
    shared_weights: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = checked_policy({"layer1.0.conv1": {"shared_weights": {"levels": 4}}})
    monkeypatch.setattr(shared_weights, "apply_", lambda *_: None)
    builder = builder_of(TINY, images(16, 1, 8).numpy(), RecoveryPlan(), tmp_path / "files")
    with pytest.raises(CompressionError, match=r"'layer1\.0\.conv1' was to have 4 values, a channel holds \d+"):
        builder.build(policy)


def test_a_policy_with_it_is_applied_without_an_experiment(shared_weights: type) -> None:
    groups = {"linear": {"shared_weights": {"levels": 2}}}
    made = compress(TINY.network, {"format": 1, "network": "tiny", "groups": groups}, images(2, 1, 8))
    assert len(made.linear.weight.unique()) == 2
    with pytest.raises(SpaceError, match=r"groups\.a\.shared_weights: expected {levels: n}, a whole number from 2"):
        checked_policy({"a": {"shared_weights": {"levels": 1}}}, "groups")
    with pytest.raises(SpaceError, match="the network has no layer 'liner'; did you mean 'linear'"):
        Compressor.check(TINY, Policy.of({"liner": groups["linear"]}))


def test_a_search_takes_it_from_its_experiment(shared_weights: type, tmp_path: Path) -> None:
    experiment = settings(budget={"trials": 6}, searcher={"start": "reference"}, seed=1)
    experiment["space"] = {"groups": "per-stage", **yaml.safe_load(block(PAGE, "yaml"))["space"]}
    (tmp_path / "e.yaml").write_text(yaml.safe_dump(experiment), encoding="utf-8")
    done = moco("search", tmp_path / "e.yaml", "--out", tmp_path / "run")
    assert done.exit_code in {0, 3}, done.output
    kept = yaml.safe_load((tmp_path / "run" / "experiment.yaml").read_text())
    assert kept["space"]["shared_weights"] == {"levels": [16, 4]}
    assert "shared values" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "shared_weights" in str(read(tmp_path / "run" / "result.json"))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"shared_weight": {}}, r"^space\.shared_weight: unknown key; did you mean 'shared_weights'\?$"),
        ({"shared_weights": {"level": [4]}}, r"^space\.shared_weights\.level: unknown key; did you mean 'levels'\?$"),
        (
            {"shared_weights": {"levels": [1]}},
            r"^space\.shared_weights\.levels: expected numbers from 2 on, got \[1\]$",
        ),
        ({"shared_weights": {"levels": 4}}, r"^space\.shared_weights\.levels: expected a list, got 4$"),
    ],
)
def test_its_options_are_checked_like_moco_s_own(shared_weights: type, space: object, message: str) -> None:
    from moco.experiment.loading import experiment_of

    with pytest.raises(ConfigError, match=message):
        experiment_of({**settings(), "space": space})
