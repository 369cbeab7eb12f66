"""What every test runs under: one thread, no network, no telemetry, the same hypothesis examples each time."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.processes import Children, born_from_now

ROOT = Path(__file__).resolve().parents[1]

# Read when torch, numpy and mlflow are first imported, so they stand before any test is collected.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

# No test writes into the user's own home: fixtures of a module into this folder, a test into one of its own.
os.environ["MOCO_HOME"] = tempfile.mkdtemp(prefix="moco-home-")
atexit.register(shutil.rmtree, os.environ["MOCO_HOME"], ignore_errors=True)

settings.register_profile("moco", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("moco")


@pytest.fixture(autouse=True)
def moco_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Moco's home of this test alone."""
    home = tmp_path / "moco-home"
    monkeypatch.setenv("MOCO_HOME", str(home))
    return home


@pytest.fixture
def children() -> Children:
    """The living processes that this test has started."""
    return born_from_now()


@pytest.fixture
def cifar10() -> Path:
    """Folder with the CIFAR-10 files and weights; skips where it is absent."""
    folder = Path(os.environ.get("MOCO_CIFAR10", ROOT.parent / "shared" / "data" / "cifar10"))
    if not (folder / "test.parquet").is_file():
        pytest.skip(f"CIFAR-10 is not in {folder}; set MOCO_CIFAR10")
    return folder


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches beyond this machine fails at once and says where to."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        local = self.family == socket.AF_UNIX or str(address[0]) in {"127.0.0.1", "::1", "localhost"}
        if not local:
            raise RuntimeError(f"a test wanted to connect to {address}; tests use no network")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
