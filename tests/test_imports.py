"""Imports point down only, heavy packages stay where they are named, and `import moco` is silent and light."""

from __future__ import annotations

import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from tests.import_rules import ALLOWED, ROOT, sources, violations

ROOMS = {f"moco.{room}": "" for room in ALLOWED if room != "core"}


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def test_no_module_imports_upwards() -> None:
    assert violations(sources()) == []


def test_every_module_is_read() -> None:
    folders = ("moco", "searchers", "objectives", "hardware")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts]
    linked = [path for path in files if path.relative_to(ROOT).parts[:2] in {("moco", name) for name in folders[1:]}]

    assert len(sources()) == len(files) - len(linked)


def test_every_folder_of_moco_has_its_place_among_the_rooms() -> None:
    folders = {path.name for path in (ROOT / "moco").iterdir() if path.is_dir() and path.name != "__pycache__"}

    assert folders == set(ALLOWED) - {"core"}


def test_the_rooms_have_an_order() -> None:
    order = list(TopologicalSorter(ALLOWED).static_order())  # raises on a circle

    assert (order[0], order[-1]) == ("core", "app")


def test_the_plugin_folders_do_not_know_each_other() -> None:
    plugins, composing = (
        {"searchers", "objectives", "hardware"},
        {
            "run",
            "students",
            "experiment",
            "serving",
            "sweep",
            "stages",
            "first_experiment",
            "reproduction",
            "app",
            "testing",
        },
    )

    assert [room for room in plugins if ALLOWED[room] & (plugins | composing)] == []
    assert [room for room in set(ALLOWED) - plugins - composing if ALLOWED[room] & (plugins | composing)] == []


@pytest.mark.parametrize(
    ("module", "text", "fault"),
    [
        ("moco.study", "import moco.searchers.tpe", "'core' imports 'moco.searchers.tpe'"),
        ("moco.study", "def f():\n    from moco.app import cli", "'core' imports 'moco.app"),
        ("moco.study", "from moco.evaluation import store", "'core' imports 'moco.evaluation"),
        ("moco.searchers.tpe", "from moco.objectives import x", "'searchers' imports 'moco.objectives'"),
        ("moco.searchers.tpe", "from ..hardware import x", "'searchers' imports 'moco.hardware'"),
        ("moco.searchers.tpe", "if TYPE_CHECKING:\n    import moco.models", "'searchers' imports 'moco.models'"),
        (
            "moco.compression.channels.groups",
            "from importlib import import_module\nimport_module('moco.app')",
            "'compression' imports",
        ),
        ("moco.report.page", "from moco import search", "imports from 'moco' itself"),
        ("moco", "import torch_pruning", "imports 'torch_pruning', which only nobody may"),
        ("moco.report.page", "import searchers.tpe", "by its bare name"),
        ("moco.report.page", "import mlflow.tracking", "imports 'mlflow', which only moco.tracking may"),
        ("moco.exporting", "import onnx", "imports 'onnx', which only moco.export"),
    ],
)
def test_a_forbidden_import_is_found(module: str, text: str, fault: str) -> None:
    found = violations({**ROOMS, module: text})

    assert len(found) == 1
    assert found[0].startswith(f"{module}:")
    assert fault in found[0]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (
            "moco.app.search",
            "from moco.searchers import tpe\nimport moco\nfrom moco.hardware import x\nimport rich",
        ),
        ("moco.searchers.tpe", "from moco import problem\nfrom . import helper\nimport optuna, numpy"),
        ("moco.tracking.mlflow", "def f():\n    import mlflow"),
        ("moco.tracking", "from .mlflow import x"),
        ("moco", "if TYPE_CHECKING:\n    from moco.app.cli import x"),
    ],
)
def test_an_allowed_import_is_let_through(module: str, text: str) -> None:
    assert violations({**ROOMS, "moco.problem": "", "moco.tracking.mlflow": "", module: text}) == []


def test_importing_moco_is_silent_and_loads_no_heavy_package() -> None:
    heavy = [
        "torch",
        "torchvision",
        "mlflow",
        "onnx",
        "onnxruntime",
        "plotly",
        "sklearn",
        "pyarrow",
        "pandas",
        "pydantic",
        "rich",
        "scipy",
        "moco.app",
    ]
    done = python(f"import moco, sys; assert not (bad := set({heavy}) & set(sys.modules)), bad")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["searchers", "objectives", "hardware"])
def test_a_plugin_folder_refuses_its_bare_name(name: str) -> None:
    done = python(f"import moco.{name}\nimport {name}")

    assert done.returncode == 1
    assert f"ImportError: import 'moco.{name}', not '{name}'" in done.stderr
