"""A part whose package is not installed is refused in one line that names the extra, before anything begins."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from moco.errors import ConfigError
from moco.optional import EXTRAS, installed, needed_by, require
from tests.app.tiny import write

ROOT = Path(__file__).resolve().parents[2]

WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None  # what Python itself puts there for a package that must not be found
sys.argv = ["moco", *sys.argv[2:]]
from moco.app.cli import main
main()
"""


def moco_without(package: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, where that package cannot be imported."""
    command = [sys.executable, "-c", WITHOUT, package, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_every_extra_that_an_error_names_is_one_of_the_project() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    assert set(EXTRAS.values()) <= set(extras)


@pytest.mark.parametrize(
    ("package", "sections", "told"),
    [
        pytest.param(
            "ax",
            {"searcher": {"name": "ax"}},
            "searcher.name: 'ax' needs 'ax', which is not installed here: pip install 'moco[ax]'",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "botorch",
            {"searcher": {"name": "botorch"}},
            "searcher.name: 'botorch' needs 'botorch', which is not installed here: pip install 'moco[botorch]'",
            marks=pytest.mark.slow,
        ),
        (
            "mlflow",
            {"tracking": {"mlflow": True}},
            "tracking.mlflow needs 'mlflow', which is not installed here: pip install 'moco[mlflow]'",
        ),
        pytest.param(
            "timm",
            {"model": {"name": "timm/lcnet_050"}},
            "model.name: 'timm/lcnet_050' needs 'timm', which is not installed here: pip install 'moco[timm]'",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_search_is_refused_in_one_line(package: str, sections: dict[str, object], told: str, tmp_path: Path) -> None:
    experiment, out = write(tmp_path / "tiny.yaml", **sections), tmp_path / "run"
    done = moco_without(package, "search", experiment, "--out", out)

    assert (done.returncode, done.stderr) == (2, f"moco: {told}\n")
    assert not out.exists()


def test_an_installed_package_passes() -> None:
    require("mlflow", "tracking.mlflow")

    assert installed("mlflow")


def test_a_missing_package_that_no_extra_brings_is_an_error_of_the_code() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package"), needed_by("searcher: 'mine'"):
        import no_such_package  # type: ignore[import-not-found]  # noqa: F401


def test_a_part_of_a_package_names_the_extra_of_the_package() -> None:
    with pytest.raises(ConfigError, match=r"pip install 'moco\[botorch\]'"), needed_by("searcher: 'mine'"):
        raise ModuleNotFoundError("No module named 'botorch.models'", name="botorch.models")
