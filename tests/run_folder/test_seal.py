"""Delivered files are sealed: one that was changed is named before anything is said of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from moco.errors import RunFailedError, RunFolderError
from moco.interfaces import Artifact
from moco.run_folder.seal import SEAL, check_seal, seal
from moco.run_folder.writing import write_network
from tests.policies import policy_of


@pytest.fixture
def delivered(tmp_path: Path) -> Path:
    """A front of two networks, sealed."""
    for number in ("1", "12"):
        (tmp_path / "front" / number).mkdir(parents=True)
        (tmp_path / "front" / number / "model.onnx").write_bytes(f"graph {number}".encode())
        (tmp_path / "front" / number / "policy.json").write_text("{}")
    (tmp_path / "front" / "card.md").write_text("prose")
    seal(tmp_path / "front")
    return tmp_path / "front"


def test_sha256sum_takes_the_seal(delivered: Path) -> None:
    found = subprocess.run(["sha256sum", "-c", SEAL], cwd=delivered, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == [
        f"{name}: OK" for name in ("1/model.onnx", "1/policy.json", "12/model.onnx", "12/policy.json")
    ]
    check_seal(delivered)


def appended(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


@pytest.mark.parametrize("change", [appended, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_file_that_was_changed_is_named(delivered: Path, change: Callable[[Path], None]) -> None:
    change(delivered / "12" / "model.onnx")
    with pytest.raises(RunFolderError, match=r"front/12/model\.onnx: (is not the file that was|was) delivered") as told:
        check_seal(delivered)
    assert "\n" not in str(told.value)
    check_seal(delivered, ("policy.json",))


@pytest.mark.parametrize("text", ["", "\n", "no sum  1/model.onnx\n", "0" * 64 + " 1/model.onnx\n"])
def test_a_seal_that_was_emptied_or_edited_is_no_seal(delivered: Path, text: str) -> None:
    (delivered / SEAL).write_text(text)
    with pytest.raises(RunFolderError, match=rf"{SEAL}: expected a SHA-256 and a file name in each line; put the file"):
        check_seal(delivered)


def test_a_file_that_the_seal_does_not_name_was_not_delivered(delivered: Path) -> None:
    lines = (delivered / SEAL).read_text().splitlines(keepends=True)
    (delivered / SEAL).write_text("".join(line for line in lines if "12/model.onnx" not in line))
    with pytest.raises(RunFolderError, match=rf"front/12/model\.onnx: {SEAL} does not name it"):
        check_seal(delivered)


def test_prose_may_be_changed_and_a_folder_without_a_seal_passes(delivered: Path) -> None:
    (delivered / "card.md").write_text("other prose")
    check_seal(delivered)
    (delivered / SEAL).unlink()
    appended(delivered / "1" / "model.onnx")
    check_seal(delivered)


def test_nothing_is_sealed_where_nothing_was_delivered(tmp_path: Path) -> None:
    seal(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    seal(tmp_path / "empty")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    assert not any((tmp_path / "empty").iterdir())


def test_a_file_that_is_not_the_one_that_was_timed_is_not_delivered(tmp_path: Path) -> None:
    (tmp_path / "built.onnx").write_bytes(b"another graph")
    with pytest.raises(RunFailedError, match="not the file that was scored and timed"):
        write_network(tmp_path / "best", Artifact(tmp_path / "built.onnx", "0" * 64, 5), policy_of({}, {}), "n")
    assert not (tmp_path / "best" / "model.onnx").exists()
