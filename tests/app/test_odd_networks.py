"""Networks as users bring them, through a whole search: nothing is offered that the file cannot take."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.data import TensorDataset

import moco
from moco.data import load_data
from moco.errors import ConfigError, MocoError
from moco.experiment import build
from moco.experiment.loading import experiment_of
from moco.run.job import trace
from tests.app.test_optimize import QUICK
from tests.app.tiny import settings
from tests.export.test_held import Standardised
from tests.export.test_names_survive import Activating


@pytest.fixture(scope="module")
def sets() -> dict[str, TensorDataset]:
    """The digits as torch data sets."""
    rows = load_data("digits")
    pairs = {"train": rows.train, "test": rows.test}
    return {
        name: TensorDataset(torch.from_numpy(part.images()), torch.from_numpy(part.labels.copy()))
        for name, part in pairs.items()
    }


class Gated(nn.Conv2d):
    """A convolution whose weight depends on the image."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002, torch's name
        return nn.functional.conv2d(input, self.weight * torch.sigmoid(input.mean()), self.bias)


def network_of(middle: nn.Module, norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, last = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.Conv2d(8, 8, 3, padding=1)
        head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
        return nn.Sequential(first, norm(8), middle, nn.ReLU(), last, nn.ReLU(), *head)


def test_a_layer_without_a_weight_in_the_file_is_named_with_its_reason_and_not_offered(tmp_path: Path) -> None:
    own = build.Overrides(network_of(Gated(8, 8, 1)), load_data("digits"))
    given = settings(space={"groups": "per-layer"})
    traced = trace(build.build_job(experiment_of(given), tmp_path / "run", own))

    assert any(text.startswith("'2' is left out: the exported file holds no weight") for text in traced.left_alone)
    offered = {layer for group in traced.space.groups for layer in group.layers}
    assert offered == {"0", "4", "8"}
    assert {name for name in traced.space.distributions if name.endswith(".keep")} == {"4.keep"}


@pytest.mark.slow  # a search each
@pytest.mark.parametrize(
    "network",
    [
        network_of(Standardised(8, 8, 1)),
        network_of(parametrizations.weight_norm(nn.Conv2d(8, 8, 1, bias=False)), Activating),
        nn.DataParallel(network_of(nn.ConvTranspose2d(8, 8, 2), nn.SyncBatchNorm)),
    ],
)
def test_no_candidate_of_an_odd_network_is_rejected(
    network: nn.Module,
    sets: dict[str, TensorDataset],
    tmp_path: Path,
) -> None:
    quick = {**QUICK, "space": {"groups": "per-layer"}}
    result = moco.optimize(
        network, **sets, floor="-99 pp", trials=8, out=tmp_path / "run", searcher="random", settings=quick
    )

    trials = json.loads((tmp_path / "run" / "trials.json").read_text(encoding="utf-8"))
    assert result["trials"] == 8
    assert [trial["state"] for trial in trials] == ["complete"] * 8
    assert any("precision" in setting for trial in trials for setting in trial["policy"].values())


def test_a_network_that_gives_nan_is_refused_before_anything_is_built(
    sets: dict[str, TensorDataset], tmp_path: Path
) -> None:
    network = network_of(nn.Identity())
    network[1].running_var[3] = -1.0  # type: ignore[index]
    with pytest.raises(
        ConfigError, match="the network: '1' has a running variance of -1, expected none below 0; load"
    ) as error:
        moco.optimize(network, **sets, floor="-99 pp", trials=2, out=tmp_path / "run", settings=QUICK)

    assert error.value.exit_code == 2
    assert not list(tmp_path.rglob("*.onnx"))


def test_flags_of_modules_are_as_they_were_even_after_a_refusal(sets: dict[str, TensorDataset], tmp_path: Path) -> None:
    network = network_of(nn.Identity()).train()
    network[1].eval()  # type: ignore[index]
    network[0].requires_grad_(False)  # type: ignore[index]
    before = [(module.training, [p.requires_grad for p in module.parameters()]) for module in network.modules()]
    with pytest.raises(MocoError):
        moco.optimize(network, **sets, searcher="nosuch", out=tmp_path / "run")
    network[-1] = nn.Linear(8, 9)  # type: ignore[index]
    with pytest.raises(MocoError, match="has 10 classes"):
        moco.optimize(network, **sets, trials=2, out=tmp_path / "run", settings=QUICK)

    assert before == [(module.training, [p.requires_grad for p in module.parameters()]) for module in network.modules()]
