"""A device that goes away ends a search without harm to any policy; every session that was opened is closed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from moco.execution import retrying_target
from moco.registry import BUILT_IN
from tests.app.tiny import moco, one_line, read
from tests.hardware.unsteady import Device, UnsteadyTarget

EASY = {"floor": "-90 pp"}
ADVICE = "finished trials are kept, continue with --resume when the device is back"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    """A device under the name `unsteady`, for which nobody waits."""
    found = Device()
    monkeypatch.setattr(UnsteadyTarget, "device", found)
    monkeypatch.setattr(retrying_target, "WAITS_S", (0.0, 0.0))
    monkeypatch.setitem(BUILT_IN["target"], "unsteady", "tests.hardware.unsteady:UnsteadyTarget")
    return found


def lost(device: Device, yaml: Path, run: Path, *options: str, command: str = "search") -> None:
    """Run into the lost device; nothing stays open."""
    line = one_line(moco(command, yaml, "--out", run, *options), 1)
    assert line == f"target 'unsteady': the device is gone: no answer from the board (3 tries in 0 s); {ADVICE}"
    assert device.opened == device.closed > 0 or device.left == {"load": 0}
    device.left = {}


def told(run: Path) -> list[tuple[Any, ...]]:
    return [(trial["number"], trial["state"], trial["policy"]) for trial in read(run / "trials.json")]


@pytest.mark.slow
def test_a_device_that_dies_after_five_loads_ends_the_search_which_goes_on_when_it_is_back(
    experiment: Any, device: Device, finished: Path, tmp_path: Path, moco_home: Path
) -> None:
    run, yaml = tmp_path / "run", experiment(target={"runtime": "unsteady"}, store=True)
    device.left = {"load": 5}  # the reference and four candidates
    lost(device, yaml, run)
    assert told(run) == told(finished)[:4]
    assert not (run / "result.json").exists()
    with sqlite3.connect(moco_home / "evaluations.db") as store:
        assert store.execute("SELECT COUNT(*) FROM evaluations").fetchone() == (4,)
    assert moco("search", yaml, "--out", run, "--resume").exit_code == 0
    assert told(run) == told(finished)
    assert {state for _, state, _ in told(run)} == {"complete"}
    assert device.opened == device.closed


@pytest.mark.parametrize("left", [{"load": 0}, {"run": 1}, {"measure": 0}])
@pytest.mark.slow
def test_a_device_that_is_gone_before_the_first_trial(
    experiment: Any, device: Device, tmp_path: Path, left: dict[str, int]
) -> None:
    run, yaml = tmp_path / "run", experiment(target={"runtime": "unsteady"}, budget={"trials": 2})
    device.left = dict(left)
    lost(device, yaml, run)
    assert moco("search", yaml, "--out", run, "--resume").exit_code == 0
    assert read(run / "result.json")["trials"] == 2
    assert device.opened == device.closed


@pytest.mark.slow
def test_a_device_that_is_gone_while_the_winner_is_certified(
    experiment: Any, device: Device, finished: Path, tmp_path: Path
) -> None:
    run, yaml = tmp_path / "run", experiment(target={"runtime": "unsteady"})
    device.left = {"load": 9}  # the reference and eight candidates
    lost(device, yaml, run)
    assert told(run) == told(finished)
    assert not (run / "certification.json").exists()
    assert moco("search", yaml, "--out", run, "--resume").exit_code == 0
    result, spent = read(run / "result.json"), read(run / "certification.json")["spent"]
    certificate = result["certificate"]
    assert certificate["holds"] is True
    # Where all hold everything is passed on; how many are planned, the timings decide.
    lost_some = not all(attempt["holds"] for attempt in certificate["attempts"])
    assert spent == pytest.approx(0.05 if lost_some else 0.0), "what was cut short spent nothing"
    assert device.opened == device.closed


@pytest.mark.slow
def test_a_comparison_stops_and_goes_on(experiment: Any, device: Device, tmp_path: Path) -> None:
    run = tmp_path / "compare"
    yaml = experiment(target={"runtime": "unsteady"}, searcher={"start": "none"}, budget={"trials": 3}, objective=EASY)
    options = "--searchers", "random,sobol", "--seeds", "1"
    device.left = {"load": 5}  # the reference, the three candidates of one strategy and one of the other
    lost(device, yaml, run, *options, command="compare")
    assert [entry["state"] for entry in read(run / "compare.json")["runs"]] == ["finished"]
    assert moco("compare", yaml, "--out", run, *options, "--resume").exit_code == 0
    runs = read(run / "compare.json")["runs"]
    assert [(entry["state"], entry["trials"]) for entry in runs] == [("finished", 3)] * 2
    for label in ("random", "sobol"):
        states = {trial["state"] for trial in read(run / "runs" / label / "seed0" / "trials.json")}
        assert states == {"complete"}


@pytest.mark.slow
def test_sessions_are_closed_where_policies_are_rejected_or_fail(
    experiment: Any, device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, calls = UnsteadyTarget.measure, []

    def sometimes(self: UnsteadyTarget, sessions: Any, plan: Any) -> Any:
        calls.append(plan)
        if len(calls) in {4, 6}:
            raise ValueError("the clock stood still")
        return measure(self, sessions, plan)

    monkeypatch.setattr(UnsteadyTarget, "measure", sometimes)
    run = tmp_path / "run"
    assert moco("search", experiment(target={"runtime": "unsteady"}), "--out", run).exit_code == 0
    assert sorted({state for _, state, _ in told(run)}) == ["complete", "failed"]
    assert device.opened == device.closed > 8


@pytest.mark.slow
def test_looking_at_a_network_closes_what_it_opens(experiment: Any, device: Device, tmp_path: Path) -> None:
    yaml = experiment(target={"runtime": "unsteady"})
    (tmp_path / "p.json").write_text(json.dumps({"format": 1, "network": "digits_resnet", "groups": {}}))
    for command in (
        ("profile", yaml), ("profile", yaml, "--policy", tmp_path / "p.json"),
        ("apply", yaml, "--policy", tmp_path / "p.json", "--out", tmp_path / "applied"),
        ("payoff", yaml, "--out", tmp_path / "payoff", "--seconds", "0.5"),
    ):  # fmt: skip
        before = device.opened
        assert moco(*command).exit_code == 0
        assert device.opened == device.closed > before
