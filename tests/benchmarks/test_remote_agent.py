"""The agent's benchmark, small: a kill, a few uploads, a measurement among bad ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.agent_requests import faults, lines
from benchmarks.remote_aa import across
from tests.import_rules import ROOT


@pytest.mark.slow
def test_a_kill_loses_and_doubles_nothing_and_uploads_stay_on_disk() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.remote_agent", "--measurements", "5", "--kills", "1"]
    done = subprocess.run(
        [*command, "--uploads", "12", "--mb", "20"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "0 lost, 0 written twice, 0 answered anew" in done.stdout, done.stdout + done.stderr
    assert "missed: resident memory" not in done.stderr
    assert "missed: an upload" not in done.stderr


def test_answers_are_counted_by_request_and_only_a_5xx_that_is_not_declared_is_a_fault() -> None:
    rows = [("POST /a", "200 done", 2), ("POST /a", "503", 3), ("PUT /b", "500", 1), ("PATCH /a", "405", 1)]
    assert list(lines(rows)) == [
        "POST /a: 3 x 503, 2 x 200 done",
        "PUT /b: 1 x 500",
        "7 requests, 1 answered with 5xx but 503",
    ]
    assert list(faults(rows)) == [("PUT /b", "500", 1)]


def test_what_is_taken_elsewhere_is_set_beside_what_was_taken_here_at_that_time() -> None:
    here = [1.0 + 0.5 * (number % 4) for number in range(20)]  # a machine that drifts
    assert across({"local": here, "remote": here}).holds(1.0)
    slower = across({"local": here, "remote": [1.1 * ms for ms in here]})
    assert (round(slower.value, 6), slower.holds(1.0)) == (1.1, False)
