"""optuna-dashboard shows a ledger's front and marks what is infeasible, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moco.trial import Trial
from tests.tracking import dashboard_screenshot as dashboard

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(dashboard.CHROMIUM is None, reason="chromium is not installed"),
]
GREY = "rgb(204, 204, 204)"  # the dashboard's own colour for infeasible trials


def _infeasible(trials: list[Trial]) -> list[int]:
    return [trial.number for trial in trials if trial.outcome is not None and not trial.feasible]


def _violations(trial: Trial) -> list[float]:
    return [] if trial.outcome is None else list(trial.outcome.violations)


def test_the_dashboard_shows_the_feasible_front_and_marks_infeasible_trials(tmp_path: Path) -> None:
    trials = dashboard.record_made_search(tmp_path / "study.db")
    with dashboard.served(tmp_path / "study.db") as address:
        shown = dashboard.study(address)
        page = dashboard.browse(address, "--dump-dom")
        dashboard.browse(address, f"--screenshot={tmp_path / 'page.png'}")

    markers = re.findall(r'class="point"[^>]*?fill: ([^;]+);', page)
    states = [trial["state"] for trial in shown["trials"]]
    assert shown["objective_names"] == ["top1_error", "cost"]
    assert [trial["constraints"] for trial in shown["trials"]] == [_violations(trial) for trial in trials]
    assert {state: states.count(state) for state in ("Pruned", "Fail")} == {"Pruned": 8, "Fail": 5}
    n_infeasible = len(_infeasible(trials))
    assert n_infeasible > 5
    assert markers.count(GREY) in {
        n_infeasible,
        2 * n_infeasible,
    }  # the history, and the front where it was drawn first
    assert ">Infeasible<" in page
    assert "Pareto Front" in page
    assert _red_pixels(tmp_path / "page.png") >= 10  # the latest trial of the front is a dark red dot


def _red_pixels(picture: Path) -> int:
    plot = np.asarray(Image.open(picture).convert("RGB"), dtype=int)[160:620, 430:1080]
    red, green, blue = plot[..., 0], plot[..., 1], plot[..., 2]
    return int(((red > 150) & (green < 60) & (blue < 80)).sum())
