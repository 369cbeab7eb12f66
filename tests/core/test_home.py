"""Where the files lie that searches share."""

from __future__ import annotations

from pathlib import Path

import pytest

from moco.errors import ConfigError
from moco.home import home, shared_file


def test_a_variable_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("MOCO_HOME", "~/mine")
    assert home() == tmp_path / "mine"
    monkeypatch.delenv("MOCO_HOME")
    assert home() == tmp_path / "data" / "moco"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert home() == tmp_path / ".local" / "share" / "moco"


def test_a_shared_file_lies_in_moco_s_home(tmp_path: Path, moco_home: Path) -> None:
    assert shared_file("evaluations.db", tmp_path / "runs" / "mine") == moco_home / "evaluations.db"
    assert moco_home.is_dir()


def test_one_that_lies_beside_the_run_folder_stays_in_use(tmp_path: Path) -> None:
    beside = tmp_path / "evaluations.db"
    beside.touch()
    assert shared_file("evaluations.db", tmp_path / "mine") == beside
    assert shared_file("mlflow.db", tmp_path / "mine") != tmp_path / "mlflow.db"


def test_without_a_home_that_can_be_written_it_lies_there_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOCO_HOME", str(tmp_path / "file" / "home"))
    assert shared_file("evaluations.db", tmp_path / "mine") == tmp_path / "evaluations.db"


def test_a_home_folder_of_nobody_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCO_HOME", "~nobody-here/moco")
    with pytest.raises(ConfigError, match="MOCO_HOME '~nobody-here/moco': there is no home folder of '~nobody-here'"):
        shared_file("evaluations.db", tmp_path / "mine")
