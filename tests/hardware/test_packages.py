"""Packages are imported in processes of their own: broken ones are told of, and take nothing down."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from moco.hardware import packages
from moco.hardware.packages import PACKAGES, Package, import_faults, package_findings

ROOT = Path(__file__).resolve().parents[2]


def test_a_package_that_works_tells_its_version() -> None:
    (found,) = package_findings([Package("numpy", "import numpy")])
    assert found.ok
    assert found.detail.split(".")[0].isdecimal()


def test_a_missing_one_names_its_extra_and_what_needs_it() -> None:
    needed, extra = package_findings(
        [Package("no-such", "import no"), Package("none", "import n", "ax", "the searcher")]
    )
    assert (needed.detail, needed.advice) == ("not installed", "pip install no-such")
    assert (extra.detail, extra.advice) == ("not installed: needed for the searcher", "pip install 'moco[ax]'")
    assert not needed.ok
    assert not extra.ok


def test_a_broken_one_is_told_of_whatever_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dies.py").write_text("import os\nos.abort()\n", encoding="utf-8")
    (tmp_path / "fails.py").write_text("raise ImportError('libx.so: cannot open')\n", encoding="utf-8")
    (tmp_path / "hangs.py").write_text("import time\ntime.sleep(60)\n", encoding="utf-8")
    (tmp_path / "quits.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(packages, "LIMIT_S", 0.5)
    assert import_faults(["import hangs"]) == ["its import took more than 0 s"]
    monkeypatch.undo()
    monkeypatch.syspath_prepend(tmp_path)
    assert import_faults(["import dies", "import json", "import fails", "import quits"]) == [
        "its import ended the process: SIGABRT",
        None,
        "cannot be imported: ImportError: libx.so: cannot open",
        "cannot be imported: the process ended with 3",
    ]


def test_what_this_process_has_loaded_hides_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('broken')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = package_findings([Package("numpy", "import numpy")])
    assert found.detail == f"{np.__version__}, cannot be imported: ImportError: broken"
    assert found.advice == "pip install --force-reinstall numpy"


def test_packages_and_extras_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for package in PACKAGES:
        listed = project["dependencies"] if package.extra is None else extras.get(package.extra, [])
        if listed or package.extra is None:
            assert any(entry.startswith(package.name) for entry in listed), package
