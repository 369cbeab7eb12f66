"""The environment of LiteRT's converter, asked by its own Python: needs neither LiteRT nor the converter."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from moco.errors import ConfigError
from moco.hardware.litert_converter.environment import PACKAGES, VARIABLE, Converter
from moco.interfaces import Artifact
from moco.optional import installed

FILE = Artifact(Path("files", "net.onnx"), "a" * 64, 1)


def python_with(path: Path, **versions: str | None) -> str:
    """A program that answers as a Python does whose packages have these versions, all others 1.0."""
    told = {name: versions.get(name.replace("-", "_"), "1.0") for name in PACKAGES}
    path.write_text(f"#!/bin/sh\necho '{json.dumps(told)}'\n")
    path.chmod(0o755)
    return str(path)


def test_nobody_names_a_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=r"target\.converter_python: expected the Python of a converter, got None"):
        Converter.named(None).check()
    assert Converter.named(None).shown is None


def test_the_variable_names_one_and_the_option_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/by/variable")
    assert Converter.named(None).python == "/by/variable"
    assert Converter.named("/by/option").python == "/by/option"


@pytest.mark.skipif(installed("litert_torch"), reason="the converter is installed here")
def test_packages_that_it_lacks_are_named_with_what_installs_them() -> None:
    with pytest.raises(ConfigError, match=r"has no .*litert-torch.*; install them by `.*-m pip install") as told:
        Converter(sys.executable).check()
    assert "torch," not in str(told.value).partition("; ")[0].replace("litert-torch,", "")  # torch itself is there
    assert "\n" not in str(told.value)


def test_a_python_that_does_not_run_is_told_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho nothing of use\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(ConfigError, match="does not run") as told:
        Converter(str(broken)).check()
    assert "\n" not in str(told.value)


def test_a_file_of_another_version_hash_or_size_of_batch_has_another_name(tmp_path: Path) -> None:
    one = Converter(python_with(tmp_path / "one"))
    same = Converter(python_with(tmp_path / "same"))
    other = Converter(python_with(tmp_path / "other", ai_edge_quantizer="1.1"))
    one.check()
    assert one.path(FILE, (1,)) == same.path(FILE, (1,))
    changed = Artifact(FILE.path, "b" * 64, 1)
    names = {
        one.path(FILE, (1,)),
        other.path(FILE, (1,)),
        one.path(changed, (1,)),
        one.path(FILE, (1, 32)),
    }
    assert len(names) == 4
    assert {(path.parent, path.suffix) for path in names} == {(FILE.path.parent, ".tflite")}


def test_its_versions_are_told(tmp_path: Path) -> None:
    shown = Converter(python_with(tmp_path / "python", litert_torch="0.10.0")).shown
    assert shown is not None
    assert "litert-torch 0.10.0, " in shown
