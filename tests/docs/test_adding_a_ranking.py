"""The ranking of docs/adding_a_ranking.md, as pasted: a package of its own that filters are pruned by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from moco import registry
from moco.compression.collecting import CalibrationData
from moco.compression.rankings.ranking import importances
from moco.errors import CompressionError, ConfigError
from tests.app.tiny import moco, read, settings
from tests.compression.rankings.test_importance import graph_of
from tests.compression.toys import Chain, images, made
from tests.docs.pages import block, install

PAGE = "adding_a_ranking.md"


@pytest.fixture
def variance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type:
    (tmp_path / "site").mkdir()
    install(PAGE, tmp_path / "site", monkeypatch)
    found: type = registry.plugin("ranking", "activation_variance")
    return found


@torch.no_grad()
def test_it_is_the_variance_of_what_is_read(variance: type) -> None:
    network, batch = made(Chain, torch.nn.Identity()), images(70, side=8)
    data = CalibrationData(batch)
    read = torch.relu(network.middle(torch.relu(network.stem(batch)))).double().mean((2, 3))
    expected = read.var(dim=0).numpy()
    found = importances(network, graph_of(network), "activation_variance", data)["stem"]
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-5)
    rooted = importances(network, graph_of(network), variance(variance.Options(0.5)), data)["stem"]
    np.testing.assert_allclose(rooted, np.sqrt(expected) / np.sqrt(expected).mean(), rtol=1e-5)
    with pytest.raises(CompressionError, match="ranking 'activation_variance': expected calibration images, got none"):
        importances(network, graph_of(network), variance())


def test_its_written_form_is_its_name_without_options(variance: type) -> None:
    assert variance().written == "activation_variance"
    assert variance(variance.Options(0.5)).written == {"name": "activation_variance", "power": 0.5}


def test_a_search_prunes_by_it(variance: type, tmp_path: Path) -> None:
    space = {"groups": "per-stage", **yaml.safe_load(block(PAGE, "yaml"))["space"]}
    experiment = {**settings(budget={"trials": 4}, searcher={"start": "ladder"}), "space": space}
    (tmp_path / "e.yaml").write_text(yaml.safe_dump(experiment), encoding="utf-8")
    done = moco("search", tmp_path / "e.yaml", "--out", tmp_path / "run")
    assert done.exit_code in {0, 3}, done.output
    named = {"name": "activation_variance", "power": 0.5}
    assert (
        yaml.safe_load((tmp_path / "run" / "experiment.yaml").read_text())["space"]["filter_pruning"]["rank"] == named
    )
    assert read(tmp_path / "run" / "best" / "policy.json")["ranking"] == named


@pytest.mark.parametrize(
    ("rank", "message"),
    [
        ("activation_varianc", r"rank: unknown ranking 'activation_varianc'; did you mean 'activation_variance'\?$"),
        ({"name": "activation_variance", "powr": 1.0}, r"rank\.powr: unknown key; did you mean 'power'\?$"),
        ({"name": "activation_variance", "power": "a"}, r"rank\.power: expected a number, got 'a'$"),
        ({"name": "l1", "power": 1.0}, r"rank\.power: unknown key; it takes no options$"),
        ({"power": 1.0}, r"rank: expected the name of a ranking, or {name: …} with its options"),
    ],
)
def test_its_options_are_checked(variance: type, rank: object, message: str) -> None:
    from moco.experiment.loading import experiment_of

    with pytest.raises(ConfigError, match=rf"^space\.filter_pruning\.{message}"):
        experiment_of({**settings(), "space": {"filter_pruning": {"rank": rank}}})
