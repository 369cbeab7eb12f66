from __future__ import annotations

from pathlib import Path

import pytest

from moco.errors import RunFolderError
from moco.run_folder.network_file import file_name, is_network, network_file, usual_name
from moco.run_folder.seal import SEAL, check_seal, seal


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite", "model.so", "model.engine"])
def test_a_network_of_any_form_is_found_named_and_sealed(name: str, tmp_path: Path) -> None:
    best = tmp_path / "best"
    best.mkdir()
    (best / name).write_bytes(b"graph")
    (best / f"{name}.partial").write_bytes(b"gra")
    assert is_network(name)
    assert (network_file(best), usual_name(tmp_path), file_name(Path("files", f"a1{Path(name).suffix}"))) == (
        best / name,
        name,
        name,
    )
    seal(best)
    assert (best / SEAL).read_text().splitlines() == [(best / SEAL).read_text().partition("  ")[0] + f"  {name}"]
    (best / name).write_bytes(b"another")
    with pytest.raises(RunFolderError, match=f"best/{name}: is not the file that was delivered"):
        check_seal(best)


@pytest.mark.parametrize("name", ["model_int8.onnx", "model.onnx.partial", "model.partial", "policy.json", "model"])
def test_other_files_are_no_network(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    assert not is_network(name)
    assert network_file(tmp_path) is None


def test_the_front_tells_the_name_where_nothing_is_best(tmp_path: Path) -> None:
    assert usual_name(tmp_path) == "model.onnx"
    (tmp_path / "front" / "3").mkdir(parents=True)
    (tmp_path / "front" / "3" / "model.tflite").write_bytes(b"")
    assert usual_name(tmp_path) == "model.tflite"
