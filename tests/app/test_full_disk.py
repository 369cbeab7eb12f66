"""A disk that fills up: exit code 1, one line, finished trials kept, and the search goes on when there is room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.app.tiny import moco, read

ROOT = Path(__file__).resolve().parents[2]
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from moco.app.cli import app
app()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("room", "what"), [(200_000, ".onnx"), (1_500_000, "report.html")])
def test_a_disk_that_fills_up_costs_nothing_that_was_finished(
    experiment: Any, tmp_path: Path, room: int, what: str
) -> None:
    """A file may not grow beyond a limit, which is what a full disk does to the largest one."""
    yaml, run = experiment(), tmp_path / "run"
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, str(room), "search", str(yaml), "--out", str(run)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    (line,) = ended.stderr.strip().splitlines()
    assert f"{what}" in line
    assert "cannot be written: File too large" in line
    assert not (run / "report.html").exists()
    before = read(run / "trials.json") if (run / "trials.json").exists() else []
    if not before:
        return  # the reference itself did not fit: nothing had begun
    assert moco("search", yaml, "--out", run, "--resume").exit_code == 0
    assert read(run / "trials.json")[: len(before)] == before
    assert (run / "report.html").exists()
