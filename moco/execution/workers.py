"""Worker processes on this machine: each builds its own evaluator once, and evaluates what it is given.

A worker is stateless: what it needs comes from a recipe, by which any process can build the same evaluator. So a
worker that dies (killed, out of memory) is replaced, and what it was evaluating is evaluated again: a retry, and no
failed trial unless it kills one worker after another.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from types import TracebackType
from typing import Any, Literal

from moco.errors import ConfigError, DeadlyPolicyError, DeviceLostError, WorkersLostError, in_one_line

MOST_LOSSES = 3
"""After so many lost workers an evaluation is given up."""
MOST_A_CORE = 8  # workers for each processor; more would only take each other's memory
REMEDY = "is memory short? See the system's log, or give fewer workers"

Evaluate = Callable[[Any], Any]
Recipe = Callable[[], Evaluate]
"""Builds, in a worker, the function that evaluates there."""
StartMethod = Literal["spawn", "fork"]


@dataclass(frozen=True)
class Execution:
    """Where a study evaluates: what `Study` takes, and what its `run` does."""

    evaluate: Evaluate
    executor: Executor | None = None
    workers: int = 1


@contextmanager
def in_workers(
    workers: int,
    recipe: Recipe,
    start: StartMethod,
    through: Callable[[Evaluate], Evaluate] = lambda evaluate: evaluate,
) -> Iterator[Execution]:
    """Evaluations in so many processes, which end with the block; `recipe` and `start` as `WorkerPool` takes them.

    `through` is what an evaluation passes in this process on its way to a worker, such as a store of earlier ones.
    """
    with ThreadPoolExecutor(workers) as threads, WorkerPool(recipe, workers, start) as pool:
        yield Execution(through(pool), threads, workers)


def too_many_workers(workers: int) -> list[str]:
    """A warning where there are more workers than processors to run them; a ConfigError where there are far more."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers > MOST_A_CORE * cores:
        raise ConfigError(f"workers: expected at most {MOST_A_CORE * cores} on {cores} processors, got {workers}")
    if workers <= cores:
        return []
    return [f"workers: {workers} are more than the {cores} processors of this machine; they slow each other"]


class WorkerPool:
    """Evaluates in worker processes; calling it waits until one of them has done it. Called by a thread a worker."""

    def __init__(self, recipe: Recipe, workers: int, start: StartMethod = "spawn") -> None:
        """Take the recipe, called once in each worker; processes start with the block, or with the first call.

        `spawn` pickles the recipe and builds from plain values in a fresh interpreter; `fork` hands on objects that
        live in this process only, such as a network given in Python. A ConfigError where this system cannot start
        workers so.
        """
        if start not in multiprocessing.get_all_start_methods():
            raise ConfigError(f"workers: this system has no '{start}', by which workers take over objects; give 1")
        self._recipe, self._workers, self._start = recipe, workers, start
        self._lock = threading.Lock()
        self._free: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._closed = False

    def __call__(self, task: Any) -> Any:
        """What the evaluator of a worker gives for the task, or raises.

        A WorkersLostError where three workers, one after another, could not be built; a DeadlyPolicyError where they
        died at this task.
        """
        for left in reversed(range(MOST_LOSSES)):
            worker = self._taken()
            try:
                result, error = worker.reply(task)
                break
            except WorkersLostError:
                if not left:
                    raise
            finally:
                with self._lock:
                    self._busy.discard(worker)
                    if not self._closed:
                        self._free.append(worker)
        if error is not None:
            raise error
        return result

    def __enter__(self) -> WorkerPool:
        """Start the workers from this thread: they build their evaluators while the first policies are asked."""
        try:
            for _ in range(self._workers):
                self._hire()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the workers; what they were evaluating is dropped."""
        with self._lock:
            self._closed, idle = True, [worker for worker in self._free if worker.process.pid]
            for worker in self._busy:  # nobody waits for it any more
                worker.process.terminate()
        for worker in idle:
            worker.dismiss()
        for worker in idle:
            worker.process.join()

    def _taken(self) -> _Worker:
        """A worker for the next task; those that died with nothing to do are replaced, and it costs no try."""
        with self._lock:
            if self._closed:
                raise CancelledError("the search has ended")
            self._free = [worker for worker in self._free if not worker.has_ended]
            if not self._free:
                self._hire()
            worker = self._free.pop(0)
            self._busy.add(worker)
            return worker

    def _hire(self) -> None:
        """Start one more worker. It never hears of Ctrl-C, which goes to the whole group: the driver ends in order."""
        if self._start == "spawn":
            resource_tracker.ensure_running()  # its own start, otherwise within that of the worker, lets Ctrl-C through
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the worker inherits it
        try:
            self._free.append(_Worker(self._recipe, self._start))  # at hand for `close` before it starts
            self._free[-1].start()
        except OSError as error:
            raise WorkersLostError(f"a worker process cannot be started: {error}; {REMEDY}") from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """A process that builds an evaluator of its own, and the line to it."""

    def __init__(self, recipe: Recipe, start: StartMethod) -> None:
        context: Any = multiprocessing.get_context(start)
        self._line, self._theirs = context.Pipe()
        self._built = False  # whether it has said so
        self.process = context.Process(target=_work, args=(self._theirs, recipe))

    def start(self) -> None:
        """Start the process."""
        self.process.start()
        self._theirs.close()  # so that the line ends with the process

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone, or never began; where another thread took its exit code, it seems to live on."""
        return self.process.pid is None or bool(connection.wait([self.process.sentinel], 0))

    def reply(self, task: Any) -> tuple[Any, Exception | None]:
        """The evaluation's result, or what it raised; a LostError where there is neither: the process has ended."""
        broken: Exception | None = None
        with suppress(EOFError, OSError):  # it has died
            if self._built or (broken := self._line.recv()) is None:
                self._built = True
                self._line.send((task,))
                answer: tuple[Any, Exception | None] = self._line.recv()
                return answer
        self.process.kill()
        self.process.join()
        if isinstance(broken, DeviceLostError):
            raise broken
        cause = f"{type(broken).__name__}: {broken}" if broken else f"exit code {self.process.exitcode}"
        lost = f"{MOST_LOSSES} worker processes, one after another,"
        if not self._built:
            raise WorkersLostError(f"{lost} could not build their evaluator ({cause}): {REMEDY}")
        raise DeadlyPolicyError(f"{lost} died at one policy ({cause}): {REMEDY}; it is {str(task)[:200]}")

    def dismiss(self) -> None:
        """Let it end in order where it waits for a task, at once where it still builds."""
        if not self._built:
            self.process.terminate()
        with suppress(OSError):  # it is gone
            self._line.send(None)


def _work(line: connection.Connection, recipe: Recipe) -> None:
    """Say whether the evaluator could be built (None, or the error), then answer each task until None comes."""
    threading.Thread(target=_end_with_driver, daemon=True).start()
    try:
        evaluate = recipe()
    except BaseException as error:  # by `sys.exit` too
        line.send(_portable(error))
        return
    with suppress(EOFError, ConnectionError):  # the driver has died
        line.send(None)
        while (task := line.recv()) is not None:
            try:
                line.send((evaluate(*task), None))
            except BaseException as error:  # by `sys.exit` too
                line.send((None, _portable(error)))


def _portable(error: BaseException) -> Exception:
    """The error, or one with its text where it cannot travel to another process."""
    try:
        same = pickle.loads(pickle.dumps(error))  # noqa: S301, bytes that this very line has written
    except Exception:
        same = None
    sound = isinstance(error, Exception) and type(same) is type(error)
    return error if sound else RuntimeError(in_one_line(error))  # type: ignore[return-value]


def _end_with_driver() -> None:
    """End this worker when its driver has died: it would wait for tasks for ever, and hold what it inherited."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
