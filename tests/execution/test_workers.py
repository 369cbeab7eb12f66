"""Worker processes: they build their evaluator once, die without costing a trial, and end with their driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from moco.errors import PolicyRejectedError, WorkersLostError
from moco.execution.device_lock import DeviceLock
from moco.execution.workers import WorkerPool


@dataclass(frozen=True)
class Squares:
    """A recipe that writes down each process that it was built in."""

    folder: Path

    def __call__(self) -> Callable[[int], int]:
        (self.folder / f"built-{os.getpid()}").touch()
        return lambda number: number**2


@dataclass(frozen=True)
class DiesOnce:
    """Kills its worker at its first evaluation, wherever that is."""

    folder: Path

    def __call__(self) -> Callable[[int], int]:
        def evaluate(number: int) -> int:
            try:
                (self.folder / "died").touch(exist_ok=False)
            except FileExistsError:
                return number**2
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError

        return evaluate


def dies_always() -> Callable[[int], int]:
    return lambda number: os.kill(os.getpid(), signal.SIGKILL) or number


def rejects() -> Callable[[int], int]:
    def evaluate(number: int) -> int:
        raise PolicyRejectedError(f"no {number}")

    return evaluate


def raises_what_cannot_travel() -> Callable[[int], int]:
    class LocalError(Exception):
        pass

    def evaluate(number: int) -> int:
        raise LocalError(f"no {number}")

    return evaluate


def cannot_be_built() -> Callable[[int], int]:
    raise ValueError("no such model")


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_each_worker_builds_its_evaluator_once(tmp_path: Path, start: str) -> None:
    with WorkerPool(Squares(tmp_path), 2, start) as pool, ThreadPoolExecutor(2) as threads:
        assert list(threads.map(pool, range(20))) == [number**2 for number in range(20)]
    built = list(tmp_path.glob("built-*"))
    assert 1 <= len(built) <= 2
    assert all(path.name != f"built-{os.getpid()}" for path in built)


def test_a_killed_worker_costs_a_retry(tmp_path: Path) -> None:
    with WorkerPool(DiesOnce(tmp_path), 2, "fork") as pool, ThreadPoolExecutor(2) as threads:
        assert list(threads.map(pool, range(4))) == [0, 1, 4, 9]
    assert (tmp_path / "died").exists()


def test_workers_that_die_again_and_again_end_the_search() -> None:
    with WorkerPool(dies_always, 2, "fork") as pool, pytest.raises(WorkersLostError, match="died 3 times in a row"):
        pool(1)


def test_errors_of_the_evaluation_travel() -> None:
    with WorkerPool(rejects, 1, "fork") as pool, pytest.raises(PolicyRejectedError, match="no 7"):
        pool(7)


def test_an_error_that_cannot_travel_keeps_its_text() -> None:
    with (
        WorkerPool(raises_what_cannot_travel, 1, "fork") as pool,
        pytest.raises(RuntimeError, match="LocalError: no 7"),
    ):
        pool(7)


def test_what_fails_in_the_building_is_told_for_the_first_task() -> None:
    with WorkerPool(cannot_be_built, 1, "fork") as pool, pytest.raises(ValueError, match="no such model"):
        pool(1)


DRIVER = """
import os, sys, time
from pathlib import Path
from tests.execution.test_workers import Squares
from moco.execution.workers import WorkerPool

pool = WorkerPool(Squares(Path(sys.argv[1])), 2, "fork")
pool(3)
print("ready", flush=True)
time.sleep(60)
"""


def test_workers_end_with_a_killed_driver(tmp_path: Path) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == "ready\n"
    workers = [int(path.name.removeprefix("built-")) for path in tmp_path.glob("built-*")]
    driver.kill()
    driver.wait()
    driver.stdout.close()
    for _ in range(200):
        if not any(map(_runs, workers)):
            return
        time.sleep(0.05)
    raise AssertionError(f"{workers} outlived their driver")


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def _overlaps(folder: Path) -> Callable[[int], bool]:
    """Holds the device's lock and tells whether another one did at the same time."""

    def evaluate(number: int) -> bool:
        with DeviceLock({"runtime": "test", "folder": str(folder)}).held():
            alone = not (folder / "held").exists()
            (folder / "held").touch()
            time.sleep(0.02)
            (folder / "held").unlink()
        return alone

    return evaluate


def test_one_process_at_a_time_has_the_device(tmp_path: Path) -> None:
    with WorkerPool(lambda: _overlaps(tmp_path), 2, "fork") as pool, ThreadPoolExecutor(2) as threads:
        assert all(threads.map(pool, range(10)))
