"""Kill and resume: a few kills of the benchmark, and that an interrupted one goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.import_rules import ROOT


def killed(out: Path, kills: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.kill_resume", "--trials", "5", "--seed", "3", "--out", str(out)]
    return subprocess.run([*command, "--kills", str(kills)], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_kills_lose_and_double_nothing_and_a_rerun_goes_on(tmp_path: Path) -> None:
    first = killed(tmp_path, 2)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "2 kills" in first.stdout
    lines = (tmp_path / "kills.jsonl").read_text(encoding="utf-8")
    (tmp_path / "kills.jsonl").write_text(lines + '{"search": 1, "kil', encoding="utf-8")  # it was killed itself
    second = killed(tmp_path, 4)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "4 kills" in second.stdout
    assert "0 trials lost, 0 doubled, 0 results differ" in second.stdout
    searches = [json.loads(line) for line in (tmp_path / "kills.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [search["search"] for search in searches] == list(range(len(searches)))
    assert sum(len(search["kills"]) for search in searches) == 4
