"""A plug-in of another package that breaks once it is used: one line says whose fault it is, whatever it raises."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import IntDistribution

from moco import Problem, search
from moco.errors import ConfigError
from moco.experiment.strategies import strategies_of
from moco.hardware import doctor
from moco.setting_owners import method_of, words_of
from tests.app.tiny import moco, one_line, read

CODE = """
import sys, time
from dataclasses import replace
from moco.compression.methods.sparsity import Sparsity
from moco.hardware.counters.rapl import RaplCounter
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.objectives.accuracy_guaranteed import AccuracyGuaranteedObjective
from moco.searchers.random import RandomSearcher

def broken(*_): raise RuntimeError("no licence")
def unusable(evaluation): return "0.5"

class Asks(RandomSearcher):
    ask = broken
class AsksNothing(RandomSearcher):
    def ask(self): return None
class Tells(RandomSearcher):
    tell = broken
class Quits(RandomSearcher):
    def ask(self): sys.exit(0)
class Warns(RandomSearcher):
    def warnings(self, problem): sys.exit(0)
class Hangs(RandomSearcher):
    def __init__(self, *_): time.sleep(60)
class HangsWarning(RandomSearcher):
    def warnings(self, problem): time.sleep(60)
class Unscored(AccuracyGuaranteedObjective):
    def problem(self, space, reference): return replace(super().problem(space, reference), scorer=unusable)
class Connects(ONNXRuntimeTarget):
    connect = broken
class Describes(ONNXRuntimeTarget):
    def describe(self): return {"x": object()}
class Loads(ONNXRuntimeTarget):
    load = broken
class Finds(ONNXRuntimeTarget):
    def findings(self): sys.exit(0)
class Poses(AccuracyGuaranteedObjective):
    problem = broken
class Reads(RaplCounter):
    def __init__(self, *_): sys.exit(0)
class Decides(Sparsity):
    name = "decides"
    def __init__(self, *_): sys.exit(0)
"""
KINDS = {
    "searcher": ("Asks", "AsksNothing", "Tells", "Quits", "Warns", "Hangs", "HangsWarning"),
    "target": ("Connects", "Describes", "Loads", "Finds"),
    "objective": ("Poses", "Unscored"),
    "counter": ("Reads",),
    "method": ("Decides",),
}
MADE = "of the package 'their-deep' cannot be made: SystemExit: 0"
USED = "of the package 'their-deep' cannot be used:"
KEPT = "; the finished trials are in the ledger, fix the cause and use --resume"


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package, as pip would have installed it."""
    info = tmp_path / "their_deep-1.0.dist-info"
    info.mkdir()
    (tmp_path / "their_deep.py").write_text(CODE, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-deep\nVersion: 1.0\n", encoding="utf-8")
    points = [
        (kind, "".join(f"{name.lower()} = their_deep:{name}\n" for name in found)) for kind, found in KINDS.items()
    ]
    (info / "entry_points.txt").write_text("".join(f"[moco.{kind}]\n{lines}" for kind, lines in points))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("moco.setting_owners._of_plugins", {})
    monkeypatch.delitem(sys.modules, "their_deep", raising=False)


@pytest.mark.parametrize(
    ("sets", "exit_code", "line"),
    [
        ("target.runtime=connects", 2, f"target.runtime: target 'connects' {USED} RuntimeError: no licence"),
        (
            "target.runtime=describes",
            2,
            f"target.runtime: target 'describes' {USED} TypeError: Object of type object is not JSON serializable",
        ),
        (
            "target.runtime=loads",
            1,
            "the package 'their-deep' failed: RuntimeError: no licence; --verbose tells where",
        ),
        (
            "objective.protocol=poses",
            1,
            "the package 'their-deep' failed: RuntimeError: no licence; --verbose tells where",
        ),
        ("target.counters=[reads]", 2, f"target.counters: counter 'reads' {MADE}"),
        ("space.decides={}", 2, f"space.decides: method 'decides' {MADE}"),
        ("searcher.name=asks", 1, f"the searcher their_deep.Asks failed to ask: RuntimeError: no licence{KEPT}"),
        (
            "searcher.name=warns",
            2,
            "searcher: searcher 'warns' of the package 'their-deep' cannot say what to warn of: SystemExit: 0",
        ),
        ("searcher.name=quits", 1, f"the searcher their_deep.Quits failed to ask: SystemExit: 0{KEPT}"),
        (
            "searcher.name=asksnothing",
            1,
            f"the searcher their_deep.AsksNothing failed to ask: TypeError: expected a Suggestion, got None{KEPT}",
        ),
    ],
)
def test_the_line_names_the_plug_in_or_its_package(
    experiment: Any, tmp_path: Path, sets: str, exit_code: int, line: str
) -> None:
    searched = moco("search", experiment(), "--out", tmp_path / "run", "--set", sets)
    assert one_line(searched, exit_code) == line


@pytest.mark.slow
@pytest.mark.parametrize(("searcher", "what"), [("hangs", "be made"), ("hangswarning", "say what to warn of")])
def test_a_searcher_that_hangs_before_its_search_is_given_up(
    experiment: Any, tmp_path: Path, searcher: str, what: str
) -> None:
    who = f"searcher: searcher '{searcher}' of the package 'their-deep' cannot {what}: it did not return within "
    sets = f"searcher.name={searcher}", "--set", "budget.answer_seconds=2"
    searched = moco("search", experiment(), "--out", tmp_path / "run", "--set", *sets)
    assert one_line(searched, 2) == f"{who}2 s (budget.answer_seconds)"
    problem = Problem({"n": IntDistribution(0, 9)}, {"loss": "minimize"})
    with pytest.raises(ConfigError, match=f"{re.escape(who)}2 s"):
        search(problem, lambda _: {"loss": 1.0}, searcher=searcher, answer_seconds=2)
    with pytest.raises(ConfigError, match=re.escape(who)):
        strategies_of([searcher, "random"])[0].within(2).warnings(problem)


def test_the_verdict_of_a_search_without_a_network_names_the_cause(experiment: Any, tmp_path: Path) -> None:
    run, sets = tmp_path / "run", ("objective.protocol=unscored", "--set", "budget.trials=4")
    searched = moco("search", experiment(), "--out", run, "--quiet", "--set", *sets)
    cause = "ValueError: expected a finite number as score, got '0.5' from their_deep.unusable"
    assert searched.exit_code == 3
    assert f"No network could be built, measured and scored in 4 trials: {cause}." in searched.stdout
    assert read(run / "result.json")["failure"] == cause


@pytest.mark.slow
def test_what_was_finished_before_is_kept(experiment: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    line = one_line(moco("search", experiment(), "--out", run, "--set", "searcher.name=tells"), 1)
    assert line == f"the searcher their_deep.Tells failed to tell: RuntimeError: no licence{KEPT}"
    assert [trial["state"] for trial in read(run / "trials.json")] == ["complete"]


def test_the_traceback_is_there_for_who_asks(experiment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCO_DEBUG", "1")
    with pytest.raises(RuntimeError, match=r"^no licence$"):
        moco("search", experiment(), "--out", tmp_path / "run", "--set", "target.runtime=loads")


@pytest.mark.slow
def test_the_doctor_tells_of_them_and_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    points = tmp_path / "their_deep-1.0.dist-info" / "entry_points.txt"
    points.write_text(points.read_text(encoding="utf-8") + "[moco.ranking]\nl1 = their_deep:Asks\n", encoding="utf-8")
    monkeypatch.setattr(doctor, "AA_PLAN", doctor.TimingPlan(seconds=0.01))
    found = {finding.name: finding for finding in doctor.probe(packages=())}
    assert found["finds"].detail == "cannot be used: SystemExit: 0"
    assert "reads cannot be used: SystemExit: 0" in found["energy"].detail
    assert found["plug-ins"].detail == "'moco' and 'their-deep' each have the ranking 'l1'"
    assert found["plug-ins"].advice


def test_a_method_that_cannot_be_made_hurts_only_who_asks_for_it(tmp_path: Path) -> None:
    assert words_of("their_setting", {"keep": 3, "of": 4}) == "their setting 3/4"
    with pytest.raises(Exception, match=rf"unknown setting 'theirs'; method: method 'decides' {MADE}"):
        method_of("theirs")
