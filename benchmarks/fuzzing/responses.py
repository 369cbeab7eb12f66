"""How moco responds to an input, and what is wrong with the response."""

from __future__ import annotations

import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import typer
from typer.testing import CliRunner

from moco.app.cli import app
from moco.app.command import exit_code_of
from moco.app.output import Answer, Output

LIMIT_S = 10.0
"""No answer takes longer, but that of a search that was accepted."""
SEARCH_LIMIT_S = 120.0
EXIT_CODES = frozenset({0, 1, 2, 3})
LONGEST = 4000
"""Characters of a line of an error: what a user wrote may be quoted in it, but not a whole file."""


class HangError(BaseException):
    """The watchdog's alarm; no library catches it by accident."""


@dataclass(frozen=True)
class Response:
    """How a command ended.

    Attributes:
        exit_code: None where it raised what is no exit.
        error: what went to the error stream.
        raised: the traceback of what it raised; None otherwise.
        value: what a function in place of a command has given.
    """

    exit_code: int | None
    error: str
    seconds: float
    raised: str | None = None
    value: Any = None

    def faults(self, limit_s: float = LIMIT_S) -> list[str]:
        """What is wrong with it by itself; whether the input should have been taken is another question."""
        found = []
        if self.raised is not None:
            found.append(f"raised:\n{self.raised}")
        elif self.exit_code not in EXIT_CODES:
            found.append(f"exit code {self.exit_code}")
        if self.seconds > limit_s:
            found.append(f"took {self.seconds:.1f} s")
        if "Traceback (most recent call last)" in self.error:
            found.append(f"printed a traceback:\n{self.error[-1500:]}")
        lines = [line for line in self.error.splitlines() if line.startswith("moco: ")]
        told = [line for line in lines if not line.startswith("moco: warning: ")]
        if self.raised is None and self.exit_code in {1, 2} and len(told) != 1:
            found.append(
                f"exit code {self.exit_code} with {len(told)} lines that begin with 'moco: ': {self.error[-500:]!r}"
            )
        found += [line for line in told if line.startswith("moco: an error that moco did not expect")]
        found += [f"an error of {len(line)} characters" for line in told if len(line) > LONGEST]
        found += [f"an error with control characters: {line[:300]!r}" for line in told if not line.isprintable()]
        return found


def command_response(*arguments: object, limit_s: float = LIMIT_S) -> Response:
    """How the command line ends with these arguments, in this process."""
    return _invoked(app, [str(argument) for argument in arguments], limit_s)


def function_response(function: Callable[[], Any], limit_s: float = LIMIT_S) -> Response:
    """How a function ends whose errors are told as a command's are."""
    given: list[Any] = []

    def work() -> Answer:
        given.append(function())
        return Answer(None, (), "")

    one = typer.Typer(pretty_exceptions_enable=False)

    @one.command()
    def command() -> None:
        raise typer.Exit(exit_code_of(Output(), work, resumes=False))

    response = _invoked(one, [], limit_s)
    return replace(response, value=given[0] if given else None)


def _invoked(command: typer.Typer, arguments: list[str], limit_s: float) -> Response:
    began = time.perf_counter()
    try:
        with _alarm(2 * limit_s), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = CliRunner().invoke(command, arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # what CliRunner lets through
        return Response(None, "", time.perf_counter() - began, _short(error))
    seconds, left = time.perf_counter() - began, result.exception
    if left is not None and not isinstance(left, SystemExit):
        return Response(None, result.stderr, seconds, _short(left))
    return Response(result.exit_code, result.stderr, seconds)


def _short(error: BaseException) -> str:
    lines = traceback.format_exception(error)
    text = "".join(lines)
    return text if len(text) < 3000 else f"{text[:300]}\n…\n{text[-2500:]}"


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Within, a HangError is raised after so many seconds."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise HangError(f"nothing came within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
