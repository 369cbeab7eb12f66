"""A search whose target reads a counter: energy is a metric like any other. The counter is a fake tree that works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.tiny import moco, one_line, read, write
from tests.hardware.powercap import working

TIMING = {"seconds_batch1": 0.005, "seconds_batch32": 0.05, "slot_ms": 1.0}
WEIGHTS = {"energy_j": 1, "size_mb": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("energy")
    with working(folder / "powercap") as root:
        experiment = write(
            folder / "e.yaml",
            target={"timing": TIMING, "counters": [{"name": "rapl", "root": str(root)}]},
            objective={"weights": WEIGHTS, "constraints": {"power_w": "<= 10x"}},
            budget={"trials": 2},
        )
        done = moco("search", experiment, "--out", folder / "run")
    assert done.exit_code == 0, done.output
    return folder / "run"


@pytest.mark.slow
def test_energy_is_weighed_as_the_paired_ratio_times_the_references(run: Path) -> None:
    result, trials = read(run / "result.json"), read(run / "trials.json")

    reference = result["reference"]["energy_j"]
    assert reference > 0
    for trial in trials:
        evaluation = trial["evaluation"]
        ratio = evaluation["details"]["energy_j.ratio"][0]
        assert evaluation["metrics"]["energy_j"][0] == pytest.approx(reference * ratio)
        assert len(evaluation["samples"]["energy_j.reference_j"]) == len(evaluation["samples"]["energy_j.candidate_j"])
        assert "latency_ms" not in evaluation["metrics"]


@pytest.mark.slow
def test_the_winners_energy_and_power_are_measured_again_and_shown(run: Path) -> None:
    result = read(run / "result.json")

    again = result["retimed"]["energy_j"]
    assert again["low"] <= again["value"] <= again["high"]
    assert [len(samples) > 0 for samples in again["samples_j"]] == [True, True]
    assert [bound["metric"] for bound in result["certificate"]["bounds"]] == ["power_w"]
    assert "| energy | " in (run / "best" / "card.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_manifest_tells_the_counter_and_the_scale(run: Path) -> None:
    manifest = read(run / "manifest.json")
    assert manifest["hardware"]["counters"] == [{"counter": "rapl", "zones": ["package-0"]}]
    assert set(manifest["reference"]) == {"energy_j", "power_w"}


def test_without_a_counter_energy_is_refused_before_the_search(tmp_path: Path) -> None:
    experiment = write(tmp_path / "e.yaml", objective={"weights": WEIGHTS})
    line = one_line(moco("search", experiment, "--out", tmp_path / "run"), 2)
    assert line.startswith("objective.weights.energy_j: this machine cannot measure energy_j (no power counter)")


@pytest.mark.parametrize(
    ("counters", "expected"),
    [
        ("[rappl]", "target.counters: unknown counter 'rappl'; did you mean 'rapl'?"),
        ("[{root: x}]", "target.counters: expected a counter's name, or {name: …, option: value}, got {'root': 'x'}"),
        ("[{name: rapl, rot: x}]", "target.counters.rapl.rot: unknown key; did you mean 'root'?"),
        ("[{name: rapl, root: 3}]", "target.counters.rapl.root: expected text"),
        ("[{name: rapl, root: /nowhere}]", "target.counters: 'rapl' cannot be read here: no RAPL counter"),
    ],
)
def test_a_counter_that_is_not_there_or_wrongly_named_is_refused(tmp_path: Path, counters: str, expected: str) -> None:
    experiment = write(tmp_path / "e.yaml")
    done = moco("search", experiment, "--out", tmp_path / "run", "--set", f"target.counters={counters}")
    assert one_line(done, 2).startswith(expected)


def test_modelled_energy_goes_by_its_own_name_and_needs_a_stated_power(tmp_path: Path) -> None:
    weights = {"energy_modelled_j": 1, "size_mb": 1}
    experiment = write(
        tmp_path / "e.yaml", target={"timing": TIMING}, objective={"weights": weights}, budget={"trials": 1}
    )
    line = one_line(moco("search", experiment, "--out", tmp_path / "none"), 2)
    assert "cannot measure energy_modelled_j (no stated power)" in line
    line = one_line(moco("search", experiment, "--out", tmp_path / "none", "--set", "target.modelled_power_w=0"), 2)
    assert line.startswith("target.modelled_power_w: expected watts above 0, got 0")

    done = moco("search", experiment, "--out", tmp_path / "run", "--set", "target.modelled_power_w=6.5")
    assert done.exit_code == 0, done.output
    reference = read(tmp_path / "run" / "result.json")["reference"]
    assert reference["energy_modelled_j"] > 0
    assert "energy_j" not in reference
    for trial in read(tmp_path / "run" / "trials.json"):
        ratio = trial["evaluation"]["details"]["energy_modelled_j.ratio"][0]
        assert trial["evaluation"]["metrics"]["energy_modelled_j"][0] == pytest.approx(
            reference["energy_modelled_j"] * ratio
        )
