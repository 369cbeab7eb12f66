"""docs/adding_a_recovery_step.md as it stands: pasted, installed by an entry point, and searched with."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from moco.errors import ConfigError
from moco.experiment.build import build_job
from moco.experiment.loading import experiment_of
from moco.run.job import prepare
from tests.app.tiny import moco, read, settings, write
from tests.policies import policy_of

PAGE = Path(__file__).parents[2] / "docs" / "adding_a_recovery_step.md"
PRUNED = policy_of({"layer2.0.conv1": (16, 64), "layer2.1.conv1": (16, 64)}, {})
HALF = [{"output_bias": {"share": 0.5}}]


def pasted(language: str) -> str:
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(code)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's package as pip would leave it: its module, and its metadata beside it."""
    project = tomllib.loads(pasted("toml"))["project"]
    folder = tmp_path / "site"
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (folder / "output_bias.py").write_text(pasted("python"), encoding="utf-8")
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8")
    ((group, points),) = project["entry-points"].items()
    lines = [f"[{group}]", *(f"{name} = {where}" for name, where in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    yield
    sys.modules.pop("output_bias", None)


@pytest.mark.usefixtures("installed")
def test_a_search_runs_with_it(experiment: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = moco("search", experiment(recovery=["batch_norm", *HALF], budget={"trials": 4}), "--out", out)
    assert result.exit_code == 0, result.output
    assert yaml.safe_load((out / "experiment.yaml").read_text(encoding="utf-8"))["recovery"] == ["batch_norm", *HALF]
    assert read(out / "result.json")["seconds"]["recover"] > 0


@pytest.mark.usefixtures("installed")
def test_it_does_what_its_page_says_the_same_way_each_time(weights: Path, tmp_path: Path) -> None:
    def built(name: str, *steps: Any) -> Any:
        given = settings(model={"weights": str(weights)}, recovery=list(steps))
        return prepare(build_job(experiment_of(given), tmp_path / name), tmp_path / name).builder

    def mean_logits(network: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return network(whole.images).mean(0)

    plain, half, whole = built("plain"), built("half", *HALF), built("whole", "output_bias")
    original = mean_logits(whole.compressor.network)
    before, halved, after = (mean_logits(builder.compressed(PRUNED)) for builder in (plain, half, whole))
    torch.testing.assert_close(halved, (original + before) / 2, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after, original, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(before, original, rtol=1e-2, atol=1e-2)
    assert whole.build(PRUNED)[0].sha256 == whole.build(PRUNED)[0].sha256 != plain.build(PRUNED)[0].sha256


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"output_bias": {"shares": 1.0}}, r"recovery\.output_bias\.shares: unknown key; did you mean 'share'"),
        ({"output_bias": {"share": 2.0}}, r"recovery\.output_bias\.share: expected a number in \(0, 1\], got 2\.0"),
        ({"output_bias": {"share": "much"}}, r"recovery\.output_bias\.share: expected a number, got 'much'"),
        (
            "output_bia",
            r"recovery\[0\]: expected 'refit', .* or 'output_bias', got 'output_bia'; did you mean 'output_bias'",
        ),
    ],
)
def test_what_does_not_fit_it_is_refused_in_one_line(tmp_path: Path, step: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_job(experiment_of(settings(recovery=[step])), tmp_path / "run")


def test_a_step_that_is_not_installed_is_unknown(tmp_path: Path) -> None:
    path = write(tmp_path / "tiny.yaml", recovery=["output_bias"])
    result = moco("search", path, "--out", tmp_path / "run")
    assert (result.exit_code, "got 'output_bias'" in result.stderr) == (2, True)
