"""The import of torchvision: plain where it works, with the two operators where it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Both stand-ins do what the real package does when it is imported; the first one's compiled library "works".
WORKING = """
import torch
library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
torch.library.register_fake("torchvision::nms")(lambda dets, scores, iou_threshold: dets)
from torchvision import part
"""
BROKEN = """
import torch
from torchvision import part
torch.library.register_fake("torchvision::nms")(lambda dets, scores, iou_threshold: dets)
torch.library.register_fake("torchvision::qnms")(lambda dets, scores, iou_threshold: dets)
"""
PROGRAM = """
import torch
from moco.models.torchvision_shim import import_torchvision
module = import_torchvision()
assert import_torchvision() is module
from torchvision import part
print(hasattr(torch.ops.torchvision, "nms"), hasattr(torch.ops.torchvision, "qnms"))
"""


def run(folder: Path, package: str) -> subprocess.CompletedProcess[str]:
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text(package)
    (folder / "torchvision" / "part.py").write_text("")
    program = f"import sys; sys.path.insert(0, {str(folder)!r})\n{PROGRAM}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_normal_installation_is_left_alone(tmp_path: Path) -> None:
    # `qnms` is what the shim would have added.
    assert run(tmp_path, WORKING).stdout.split() == ["True", "False"]


def test_missing_operators_are_declared_and_the_import_repeated(tmp_path: Path) -> None:
    assert run(tmp_path, BROKEN).stdout.split() == ["True", "True"]


def test_another_failure_is_not_hidden(tmp_path: Path) -> None:
    assert "RuntimeError: something else" in run(tmp_path, "raise RuntimeError('something else')").stderr


def test_the_installed_torchvision_is_imported() -> None:
    pytest.importorskip("torch")
    from moco.models.torchvision_shim import import_torchvision

    assert callable(import_torchvision().models.resnet18)
