"""Worker processes on this machine: each builds its own evaluator once, and evaluates what it is given.

A worker is stateless: what it needs comes from a recipe, by which any process can build the same evaluator. So a
worker that dies (killed, out of memory) is replaced, and what it was evaluating is evaluated again: a retry, never a
failed trial.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Literal

from moco.errors import ConfigError, WorkersLostError

MOST_LOSSES = 3
"""After so many losses of workers in a row, with no evaluation finished in between, the search ends."""

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
    """A warning where there are more workers than processors to run them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
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
        self._pool: ProcessPoolExecutor | None = None
        self._running: set[Future[Any]] = set()
        self._losses = 0
        self._closed = False

    def __call__(self, task: Any) -> Any:
        """What the evaluator of a worker gives for the task, or raises.

        A WorkersLostError where workers died three times in a row and nothing was finished in between.
        """
        while True:
            pool = self._current()
            running = pool.submit(_evaluate, task)
            self._running.add(running)
            try:
                result = running.result()
            except BrokenProcessPool as error:
                self._lost(pool, error)
                continue
            except Exception:
                self._losses = 0
                raise
            finally:
                self._running.discard(running)
            self._losses = 0
            return result

    def __enter__(self) -> WorkerPool:
        """Start the workers from this thread: they build their evaluators while the first policies are asked."""
        pool = self._current()
        for _ in range(self._workers):
            pool.submit(_ready)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the workers; what they were evaluating is dropped."""
        with self._lock:
            self._closed, pool, self._pool = True, self._pool, None
        if pool is None:
            return
        if any(not future.done() for future in self._running):  # nobody waits for it any more
            for process in list((pool._processes or {}).values()):
                process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)

    def _current(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._closed:
                raise CancelledError("the search has ended")
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    self._workers, multiprocessing.get_context(self._start), _begin, (self._recipe,)
                )
            return self._pool

    def _lost(self, pool: ProcessPoolExecutor, error: BrokenProcessPool) -> None:
        """Drop the pool that lost a worker, once however many tasks it had."""
        with self._lock:
            if self._pool is not pool:
                return
            self._pool, self._losses = None, self._losses + 1
            if self._losses >= MOST_LOSSES:
                raise WorkersLostError(
                    f"worker processes died {self._losses} times in a row and no evaluation was finished in between: "
                    "is memory short? See the system's log; give fewer workers, and --resume"
                ) from error


_evaluator: Evaluate | None = None


def _begin(recipe: Recipe) -> None:
    """Build the worker's evaluator; what goes wrong is raised for each task, where somebody hears it."""
    global _evaluator  # noqa: PLW0603, a worker process has one evaluator
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the driver ends the search in order
    threading.Thread(target=_end_with_driver, daemon=True).start()
    try:
        _evaluator = recipe()
    except Exception as error:
        _evaluator = partial(_fail, error)


def _fail(error: Exception, _task: Any) -> Any:
    raise error


def _ready() -> None:
    """Nothing: a worker that takes it has been built."""


def _evaluate(task: Any) -> Any:
    assert _evaluator is not None
    try:
        return _evaluator(task)
    except Exception as error:
        raise _portable(error) from None


def _portable(error: Exception) -> Exception:
    """The error, or one with its text where it cannot travel to another process."""
    try:
        same = pickle.loads(pickle.dumps(error))  # noqa: S301, bytes that this very line has written
    except Exception:
        same = None
    return error if type(same) is type(error) else RuntimeError(f"{type(error).__name__}: {error}")


def _end_with_driver() -> None:
    """End this worker when its driver has died: it would wait for tasks for ever, and hold what it inherited."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
