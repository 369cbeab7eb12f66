"""What a command says and where: an answer on the standard output, progress, warnings and errors beside it.

Every command has `--json`, `--quiet` and `--verbose` by this one mechanism (moco/app/command.py): docs/command_line.md.
"""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, RenderableType

from moco.errors import ConfigError, printed
from moco.redaction import starred

DONE, FAILED, USAGE, UNMET = 0, 1, 2, 3
PLAIN_WIDTH = 120


@dataclass(frozen=True)
class Answer:
    """What a command has found.

    Attributes:
        data: the whole of it, as JSON values.
        shown: the same for a person, part by part.
        brief: the one line of `--quiet`: a verdict, or a path.
    """

    data: Any
    shown: Sequence[RenderableType]
    brief: RenderableType
    exit_code: int = DONE


@dataclass(frozen=True)
class Output:
    """How a command was asked to speak.

    With `as_json` the standard output holds one JSON document, written at the end; all else goes to the error stream.
    """

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)

    def check(self) -> None:
        """Refuse, by a ConfigError, what contradicts itself."""
        if self.quiet and self.verbose:
            raise ConfigError("--quiet and --verbose contradict each other; give one of them")

    @property
    def progress(self) -> Console:
        """Where to tell how far a command is: nowhere if it is to be quiet."""
        return console(StringIO() if self.quiet else self.err if self.as_json else self.out)

    @contextmanager
    def only_ours(self) -> Iterator[None]:
        """Within, warnings are lines on the error stream, and no one else writes to the stream of a JSON document."""
        with warnings.catch_warnings(), self._document_alone():
            warnings.showwarning = lambda message, *_args, **_more: self.warning(str(message))
            yield

    @contextmanager
    def _document_alone(self) -> Iterator[None]:
        """Within, what goes to the stream of a JSON document goes to the error stream: of worker processes too."""
        if not self.as_json:
            yield
            return
        with redirect_stdout(self.err), ExitStack() as stack:
            with suppress(OSError):  # a stream within Python alone has no number
                number, other = self.out.fileno(), self.err.fileno()
                self.out.flush()
                kept = os.dup(number)
                stack.callback(os.close, kept)
                stack.callback(os.dup2, kept, number)
                os.dup2(other, number)
            yield

    def answer(self, answer: Answer) -> None:
        """Write the answer: as JSON, in its parts, or in its one line."""
        if self.as_json:
            self._write_json(answer.data)
            return
        screen = console(self.out)
        for part in [answer.brief] if self.quiet else answer.shown:
            screen.print(part)

    def warning(self, text: str) -> None:
        """Write a warning of moco's or of a library's, in one line."""
        if not self.quiet:
            print(f"moco: warning: {printed(text)}", file=self.err)

    def error(self, text: str, exit_code: int, error: BaseException | None = None) -> None:
        """Write in one line why the command failed; with `verbose` after the traceback."""
        if self.verbose and not self.quiet and error is not None:
            print(starred("".join(traceback.format_exception(error)).rstrip()), file=self.err)
        print(f"moco: {printed(text)}", file=self.err)
        if self.as_json:
            self._write_json({"error": printed(text), "exit_code": exit_code})

    def _write_json(self, data: Any) -> None:
        print(json.dumps(plain(data), indent=1, allow_nan=False), file=self.out)


def console(stream: TextIO) -> Console:
    """A console on the stream; wider than a terminal, and without colours, where it is none."""
    if stream.isatty():
        return Console(file=stream, highlight=False, markup=False)
    width = int(os.environ.get("COLUMNS") or PLAIN_WIDTH)
    return Console(
        file=stream, highlight=False, markup=False, soft_wrap=True, width=width, force_terminal=False, color_system=None
    )


def plain(value: Any) -> Any:
    """The value as JSON has it: paths as text, numbers that JSON has not as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
