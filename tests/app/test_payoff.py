"""`moco payoff`: the table, payoff.json, the page, and the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from moco.analysis.payoff.verdicts import PayOffReport
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.measurement import Measurement, TimingPlan
from tests.app.tiny import moco, one_line, read


def at_once(_: ONNXRuntimeTarget, sessions: Sequence[Any], plan: TimingPlan) -> Measurement:
    """Times that are the files' sizes, so that no test depends on the machine's speed."""
    return Measurement(plan, tuple((session.artifact.size_bytes / 1e6,) * 8 for session in sessions))


def test_it_prints_the_table_writes_the_files_and_is_then_answered_from_the_store(
    experiment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ONNXRuntimeTarget, "measure", at_once)
    path, out = experiment(store=True), tmp_path / "runs" / "p"
    result = moco("payoff", path, "--out", out, "--seconds", 600)
    assert result.exit_code == 0, result.output
    assert "pay" in result.stdout  # the head of a column, which a narrow console folds
    assert str(out / "payoff.html") in result.stdout
    data = read(out / "payoff.json")
    report = PayOffReport.from_json(data)
    assert {payoff.precision for payoff in report.payoffs} == {"float32", "int8"}
    for group in report.groups:  # a file grows with every channel, so each narrower one is "faster"
        assert report.of(group, "float32").paying_widths == tuple(sorted(report.of(group, "float32").widths))
    pages = (out / "payoff.html").read_text(encoding="utf-8").count('class="plot"')
    assert (data["stored"], pages) == (0, len(set(report.groups.values())))

    monkeypatch.setattr(ONNXRuntimeTarget, "measure", lambda *_: pytest.fail("it was measured before"))
    again = moco("payoff", path, "--out", out, "--seconds", 600)
    assert again.exit_code == 0, again.output
    assert read(out / "payoff.json")["payoffs"] == data["payoffs"]
    assert read(out / "payoff.json")["stored"] == len(set(report.groups.values()))


def test_without_a_store_nothing_is_kept_and_real_layers_are_timed(experiment: Any, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "p"
    result = moco("payoff", experiment(), "--out", out, "--seconds", 0.5)
    assert result.exit_code == 0, result.output
    report = PayOffReport.from_json(read(out / "payoff.json"))
    assert report.groups
    assert all(time.low <= time.ratio <= time.high for payoff in report.payoffs for time in payoff.times)
    assert list((tmp_path / "runs").glob("*.db")) == []


def test_a_budget_of_nothing_is_refused_in_one_line(experiment: Any) -> None:
    assert "expected seconds > 0" in one_line(moco("payoff", experiment(), "--seconds", 0), 2)


def test_a_folder_that_cannot_be_written_is_named(experiment: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = one_line(moco("payoff", experiment(), "--out", tmp_path / "file" / "p"), 2)
    assert "the pay-off cannot be written" in line
