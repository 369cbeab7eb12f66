"""Code of the user's runs only where that was allowed, however an experiment spells it; and never by other commands."""

from __future__ import annotations

import pickle
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from moco import load_network
from moco.errors import ConfigError
from moco.experiment.build import Overrides, build_job, plan_of
from moco.experiment.loading import experiment_of, load_experiment
from moco.models import build_model
from tests.app.tiny import moco, settings

RAN = "import_of_somebody"
CODE = f"{RAN}:make"

SPELLINGS = [
    "model: {import: PATH}",
    "model: {'import': PATH}",
    'model: {"\\x69mport": PATH}',
    "model: {!!str import: PATH, options: {a: 1}}",
    "model: {? import : PATH}",
    "data: {source: import, import: PATH}",
    "recovery: [{custom: {import: PATH}}]",
    "recovery: [{name: custom, options: {import: PATH}}]",
    "recovery: [{options: {import: PATH}, name: custom}]",
    "recovery: [batch_norm, {name: custom, options: {import: PATH}}]",
    "recovery: [{? custom : {? 'import' : PATH}}]",
    "recovery:\n- name: custom\n  options:\n    import: PATH",
    "recovery: [&a {custom: &b {import: PATH}}]",
]


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A folder with a module that leaves a mark when it is imported."""
    mark = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    (tmp_path / f"{RAN}.py").write_text(f"{mark}def make(*args, **options):\n    return None\n")
    sys.modules.pop(RAN, None)
    return tmp_path


def written(folder: Path, weights: Path, spelling: str) -> Path:
    """An experiment of the tiny network with those lines in place of the sections that they have."""
    given = settings(model={"weights": str(weights)})
    section = spelling.partition(":")[0]
    given.pop(section, None)
    path = folder / "given.yaml"
    path.write_text(yaml.safe_dump(given) + spelling.replace("PATH", f"'{CODE}'") + "\n")
    return path


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_an_import_needs_leave(module: Path, weights: Path, spelling: str) -> None:
    path = written(module, weights, spelling)
    with pytest.raises(ConfigError, match=rf"import: '{CODE}' runs code that the experiment names; .*--allow-import$"):
        load_experiment(path)
    assert not (module / "ran").exists()
    allowed = load_experiment(path, allow_import=True)
    assert list(allowed.imports.values()) == [CODE]
    assert not (module / "ran").exists(), "reading an experiment imports nothing"


@pytest.mark.parametrize("spelling", [SPELLINGS[0], SPELLINGS[5], SPELLINGS[7]])
def test_nothing_is_imported_where_the_reading_was_passed_by(module: Path, weights: Path, spelling: str) -> None:
    allowed = load_experiment(written(module, weights, spelling), allow_import=True)
    refused = allowed.with_plugins(allowed.plugins)  # as an experiment that slipped through
    with pytest.raises(ConfigError, match=r"runs code that the experiment names; allow it by --allow-import$"):
        build_job(refused, module / "run", Overrides(folder=module))
    assert not (module / "ran").exists()


def test_leave_is_no_key_of_an_experiment() -> None:
    with pytest.raises(ConfigError, match="allow_import: unknown key"):
        experiment_of({**settings(), "allow_import": True})
    for section in ("model", "data"):
        given: dict[str, Any] = settings()
        given[section] = {**given[section], "allow_import": True}
        with pytest.raises(ConfigError, match=rf"{section}\.allow_import: unknown key"):
            experiment_of(given)


def test_leave_travels_to_workers(module: Path, weights: Path) -> None:
    allowed = load_experiment(written(module, weights, SPELLINGS[7]), allow_import=True)
    there = pickle.loads(pickle.dumps(allowed))
    assert there.allow_import
    assert there.model_copy(update={"seed": 1}).allow_import
    plan = plan_of(there, module / "run", module)
    assert (module / "ran").exists()
    assert plan.recording.command.endswith(" --allow-import")
    assert replace(plan.model).allow_import
    refused = pickle.loads(pickle.dumps(allowed.with_plugins(allowed.plugins)))
    assert not refused.allow_import


COMMANDS = ("search", "demo", "compare", "report", "repair", "profile", "apply", "payoff", "sensitivity", "init")


@pytest.mark.slow
def test_what_only_reads_a_run_imports_nothing_of_it(
    module: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run folder of somebody else's: its experiment names a module that lies beside it."""
    run = shutil.copytree(finished, module / "run")
    given = yaml.safe_load((run / "experiment.yaml").read_text())
    evil = {"model": {"import": CODE}, "data": {"source": "import", "import": CODE}}
    evil |= {"recovery": [{"custom": {"import": CODE}}], "folder": str(module)}
    (run / "experiment.yaml").write_text(yaml.safe_dump({**given, **evil}))
    shutil.copy(module / f"{RAN}.py", run)
    monkeypatch.chdir(run)
    monkeypatch.syspath_prepend(str(module))
    assert moco("report", run).exit_code == 0
    moco("repair", run)
    assert load_network(build_model("digits_resnet", 10), run / "best", torch.zeros(2, 1, 8, 8)) is not None
    for command in COMMANDS:
        assert moco(command, "--help").exit_code == 0
    assert RAN not in sys.modules
    assert not (module / "ran").exists()


@pytest.mark.parametrize("command", ["search", "compare", "profile", "apply", "payoff", "sensitivity"])
def test_each_command_that_builds_asks_for_leave(
    command: str, module: Path, weights: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(module, weights, SPELLINGS[0])
    monkeypatch.chdir(module)
    options = ["--policy", finished / "best" / "policy.json"] if command == "apply" else []
    refused = moco(command, path, "--out", module / "out", *options)
    assert refused.exit_code == 2
    assert "runs code that the experiment names; allow it by --allow-import" in refused.stderr
    assert not (module / "ran").exists()
