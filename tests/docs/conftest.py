"""Each page's example is installed, and searched with, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.app.conftest import _exported_once, finished, finished_yaml, weights  # noqa: F401
from tests.app.tiny import moco, settings
from tests.docs.pages import Example, installed

SMALL = {"calibration": 16, "search": 40, "certification": 60}
FLOOR = {"floor": "-90 pp", "weights": {"latency_ms": 1, "size_mb": 1}}


@pytest.fixture(scope="module")
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    """The package of the page that the module, or the parameter, names."""
    page = getattr(request, "param", None) or request.module.PAGE
    with installed(page, tmp_path_factory.mktemp("site")) as found:
        yield found


def experiment_with(example: Example, **sections: Any) -> dict[str, Any]:
    """A tiny experiment with what the page says; sections are replaced, or some of their keys are."""
    own = example.yaml
    given = {"data": {"splits": SMALL}, "budget": {"trials": 3}, "objective": FLOOR, **own, **sections}
    if "protocol" in own.get("objective", {}):
        given["objective"] = {"floor": None, "weights": None, **own["objective"]}
    if own.get("target", {}).get("runtime") != "onnxruntime" and "target" in own:
        given |= {"target": {"threads": None, **own["target"]}, "space": {"quantization": None}}
    found = settings(**given)
    return {**found, "space": {"groups": "per-stage", **own["space"]}} if "space" in own else found


def searched(experiment: dict[str, Any], folder: Path) -> Path:
    """The run folder of the search."""
    (folder / "e.yaml").write_text(yaml.safe_dump(experiment), encoding="utf-8")
    done = moco("search", folder / "e.yaml", "--out", folder / "run")
    assert done.exit_code in {0, 3}, done.output
    return folder / "run"
