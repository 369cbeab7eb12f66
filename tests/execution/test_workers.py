"""Worker processes: they build their evaluator once, die without costing a trial, and end with their driver."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from moco.errors import ConfigError, DeadlyPolicyError, DeviceLostError, PolicyRejectedError, WorkersLostError
from moco.execution.device_lock import DeviceLock
from moco.execution.workers import MOST_A_CORE, MOST_LOSSES, WorkerPool, too_many_workers
from tests.processes import Children


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


def squares() -> Callable[[int], int]:
    return lambda number: number**2


@dataclass(frozen=True)
class FailsToBuild:
    """Its first `times` workers cannot be built: they raise the error, or are killed where there is none."""

    folder: Path
    times: int
    error: Exception | None

    def __call__(self) -> Callable[[int], int]:
        if len(list(self.folder.iterdir())) < self.times:
            (self.folder / f"failed-{os.getpid()}").touch()
            if self.error is None:
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                raise self.error
        return lambda number: number**2


@dataclass(frozen=True)
class Interrupted:
    """Hears Ctrl-C while it builds and while it evaluates; its first process dies, so another one must do it too."""

    folder: Path

    def __call__(self) -> Callable[[int], int]:
        os.kill(os.getpid(), signal.SIGINT)

        def evaluate(number: int) -> int:
            os.kill(os.getpid(), signal.SIGINT)
            if not list(self.folder.iterdir()):
                (self.folder / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return number**2

        return evaluate


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


def test_workers_that_die_again_and_again_at_one_task_say_which() -> None:
    says = r"^3 worker processes, one after another, died at one policy \(exit code -9\): is memory .*; it is 17$"
    with WorkerPool(dies_always, 2, "fork") as pool, pytest.raises(DeadlyPolicyError, match=says):
        pool(17)


def test_a_worker_that_dies_takes_no_other_with_it(tmp_path: Path) -> None:
    under_way = threading.Event()

    def recipe() -> Callable[[int], int]:
        def evaluate(number: int) -> int:
            if number == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            (tmp_path / f"{os.getpid()}").touch()
            time.sleep(0.5)
            return number

        return evaluate

    with WorkerPool(recipe, 2, "fork") as pool, ThreadPoolExecutor(2) as threads:
        slow = threads.submit(pool, 0)
        while not list(tmp_path.iterdir()):
            under_way.wait(0.01)
        with pytest.raises(DeadlyPolicyError):
            pool(1)
        assert slow.result() == 0
    assert len(list(tmp_path.iterdir())) == 1, "it was evaluated once"


@pytest.mark.slow
def test_workers_that_are_killed_while_they_have_nothing_to_do_cost_nothing(children: Children) -> None:
    with WorkerPool(squares, 2, "fork") as pool:
        for number in range(2 * MOST_LOSSES):
            assert pool(number) == number**2
            for child in children():
                child.kill()
                child.join()
        assert pool(7) == 49


@pytest.mark.parametrize("error", [None, MemoryError("cannot allocate 512 MB")])
def test_a_worker_that_cannot_be_built_is_replaced(tmp_path: Path, error: Exception | None) -> None:
    with WorkerPool(FailsToBuild(tmp_path, MOST_LOSSES - 1, error), 1, "fork") as pool:
        assert [pool(number) for number in range(3)] == [0, 1, 4]
    assert len(list(tmp_path.iterdir())) == MOST_LOSSES - 1


@pytest.mark.parametrize(
    ("error", "cause"),
    [(None, "exit code -9"), (MemoryError("cannot allocate 512 MB"), "MemoryError: cannot allocate 512 MB")],
)
def test_workers_that_can_never_be_built_are_no_fault_of_the_task(
    tmp_path: Path, error: Exception | None, cause: str
) -> None:
    says = rf"^3 worker processes, one after another, could not build their evaluator \({cause}\): is memory short\?"
    with (
        WorkerPool(FailsToBuild(tmp_path, 99, error), 1, "fork") as pool,
        pytest.raises(WorkersLostError, match=says) as caught,
    ):
        pool(1)
    assert type(caught.value) is WorkersLostError


def test_a_device_that_is_lost_while_a_worker_builds_is_told_as_such(tmp_path: Path) -> None:
    recipe = FailsToBuild(tmp_path, 1, DeviceLostError("the board is gone"))
    with WorkerPool(recipe, 1, "fork") as pool:
        with pytest.raises(DeviceLostError, match=r"^the board is gone$"):
            pool(1)
        assert pool(2) == 4


def test_a_process_that_cannot_be_started_is_no_fault_of_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refused)
    with pytest.raises(WorkersLostError, match=r"^a worker process cannot be started: .*temporarily unavailable; is"):
        WorkerPool(squares, 1, "fork")(1)


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_never_hear_of_an_interrupt(tmp_path: Path, start: str) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with WorkerPool(Interrupted(tmp_path), 1, start) as pool:
        assert pool(3) == 9
    assert (tmp_path / "died").exists()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


@pytest.mark.parametrize("threads", [0, 2])
def test_an_interrupt_at_the_start_of_workers_leaves_none_behind(
    monkeypatch: pytest.MonkeyPatch, children: Children, threads: int
) -> None:
    """The second is being started; the signal may reach other threads of this process, which let it through."""
    start, begun, over = multiprocessing.Process.start, [], threading.Event()
    others = [threading.Thread(target=over.wait) for _ in range(threads)]

    def interrupted(process: multiprocessing.Process) -> None:
        start(process)
        begun.append(process)
        if len(begun) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", interrupted)
    for other in others:
        other.start()
    with pytest.raises(KeyboardInterrupt), WorkerPool(squares, 3, "fork"):
        pass
    over.set()
    assert children() == []
    assert len(begun) == 2


def test_idle_workers_that_died_cost_no_try_though_another_thread_has_taken_their_exit_code(children: Children) -> None:
    with WorkerPool(squares, MOST_LOSSES, "fork") as pool:
        for child in children():
            child.kill()
            os.waitpid(child.pid, 0)  # type: ignore[arg-type]
        assert pool(3) == 9


def test_the_block_ends_workers_that_still_build(children: Children) -> None:
    def recipe() -> Callable[[int], int]:
        time.sleep(5)
        return squares()

    with WorkerPool(recipe, 2, "fork"):
        workers = children()
    assert [worker.exitcode for worker in workers] == [-signal.SIGTERM] * 2


def test_far_more_workers_than_processors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1})
    assert len(too_many_workers(2 * MOST_A_CORE)) == 1
    with pytest.raises(ConfigError, match=r"^workers: expected at most 16 on 2 processors, got 17$"):
        too_many_workers(17)


def test_errors_of_the_evaluation_travel() -> None:
    with WorkerPool(rejects, 1, "fork") as pool, pytest.raises(PolicyRejectedError, match="no 7"):
        pool(7)


def test_an_error_that_cannot_travel_keeps_its_text() -> None:
    with (
        WorkerPool(raises_what_cannot_travel, 1, "fork") as pool,
        pytest.raises(RuntimeError, match="LocalError: no 7"),
    ):
        pool(7)


def test_a_result_that_cannot_travel_is_an_error_of_the_task() -> None:
    with WorkerPool(lambda: lambda number: lambda: number, 1, "fork") as pool:
        for _ in range(2):
            with pytest.raises((AttributeError, RuntimeError), match="pickle"):
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
