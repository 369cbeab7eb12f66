"""A batch larger than memory, here and on a device elsewhere: one line, and no trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moco.hardware.measuring import batch_memory
from tests.app.tiny import moco, one_line
from tests.hardware.agents import TOKEN, served

FREE = 100_000
SHORT = f"import moco.free_memory\nmoco.free_memory.free_bytes = lambda: {FREE}\n"
TOLD = "GB are free where it runs: take smaller images or a smaller network, or free some"


def test_a_search_ends_before_its_first_trial(experiment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_memory, "free_bytes", lambda: FREE)
    done = moco("search", experiment(), "--out", tmp_path / "run")
    assert TOLD in one_line(done, 1)
    assert not (tmp_path / "run" / "trials.json").exists()


def test_so_does_one_over_an_agent_which_lives_on(
    experiment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "short").mkdir()
    (tmp_path / "short" / "sitecustomize.py").write_text(SHORT, encoding="utf-8")
    monkeypatch.setenv("MOCO_TOKEN", TOKEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "short"))
    with served(tmp_path / "agent") as agent:
        target = {"runtime": "remote", "url": agent.url, "threads": None}
        done = moco("search", experiment(target=target), "--out", tmp_path / "run")
        assert TOLD in one_line(done, 1)
        assert agent.process is not None
        assert agent.process.poll() is None
    assert not (tmp_path / "run" / "trials.json").exists()
