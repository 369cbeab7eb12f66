"""The agent's benchmark, small: a kill, a few uploads, a measurement among bad ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
