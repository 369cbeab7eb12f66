"""A user's own objects by import path."""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path

import pytest

from moco.errors import ConfigError
from moco.models import import_object


def test_an_attribute_of_an_installed_module_is_found() -> None:
    found = import_object("collections:OrderedDict.fromkeys", allowed=True)
    assert found == OrderedDict.fromkeys


def test_a_module_beside_the_experiment_is_found(tmp_path: Path) -> None:
    (tmp_path / "beside_experiment_a.py").write_text("answer = 42\n")
    before = list(sys.path)

    assert import_object("beside_experiment_a:answer", tmp_path, allowed=True) == 42
    assert sys.path == before


def test_a_module_in_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside_experiment_b.py").write_text("answer = 43\n")
    monkeypatch.chdir(tmp_path)

    assert import_object("beside_experiment_b:answer", allowed=True) == 43


@pytest.mark.parametrize("path", ["collections", ":x", "collections:", "os;system:x", "../x:y"])
def test_a_malformed_path_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"expected 'package\.module:attribute'"):
        import_object(path, allowed=True)


def test_a_missing_module_is_refused() -> None:
    with pytest.raises(ConfigError, match="module 'no_such_module' cannot be imported: ModuleNotFoundError"):
        import_object("no_such_module:x", allowed=True)


def test_a_module_that_fails_is_refused_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "beside_experiment_c.py").write_text("1 / 0\n")

    with pytest.raises(ConfigError, match="cannot be imported: ZeroDivisionError: division by zero"):
        import_object("beside_experiment_c:x", tmp_path, allowed=True)


def test_a_missing_attribute_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'collections' has no 'OrderedDicts'; did you mean 'OrderedDict'\?"):
        import_object("collections:OrderedDicts", allowed=True)
