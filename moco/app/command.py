"""How a function becomes a command: the options that all have, its errors in one line, and its exit code."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer
from typer import Option
from typer.core import TyperGroup

from moco.app.output import FAILED, USAGE, Answer, Output
from moco.errors import MocoError, in_one_line
from moco.redaction import starred
from moco.registry import package_to_blame

Function = Callable[..., Answer]
UsageError: Any = typer.BadParameter.__base__  # typer publishes no other name for it

SHARED = {
    "as_json": Annotated[
        bool,
        Option("--json", help="One JSON document on the standard output at the end; all else on the error stream."),
    ],
    "quiet": Annotated[bool, Option("--quiet", help="Nothing but the last line, such as the verdict, and errors.")],
    "verbose": Annotated[
        bool, Option("--verbose", help="Also what each candidate does, and of an error the place in the program.")
    ],
}
"""Options of every command, by the fields of `Output`."""


def command(app: typer.Typer, example: str) -> Callable[[Function], Function]:
    """Register a function of its options as a command whose help ends with the example.

    A function with a parameter `output` is given it, to show its progress.
    """

    def registered(function: Function) -> Function:
        parameters = inspect.signature(function).parameters

        @wraps(function)
        def run(**given: Any) -> None:
            output = Output(**{name: given.pop(name) for name in SHARED})
            told = {"output": output} if "output" in parameters else {}
            code = exit_code_of(output, lambda: function(**told, **given), resumes="resume" in given)
            if code:
                raise typer.Exit(code)

        hints = get_type_hints(function, include_extras=True)
        own = [one for name, one in parameters.items() if name != "output"]
        keywords = [one.replace(annotation=hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
            for name, annotation in SHARED.items()
        ]
        signature = inspect.Signature([*keywords, *shared])
        vars(run).pop("__wrapped__")
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
        app.command(epilog=f"Example: {example}")(run)
        return function

    return registered


def exit_code_of(output: Output, work: Callable[[], Answer], *, resumes: bool) -> int:
    """Do the work, write its answer or in one line its error, and return the exit code of either.

    MOCO_DEBUG in the environment lets an error through that moco did not expect.
    """
    try:
        output.check()
        with output.only_ours():
            answer = work()
        output.answer(answer)
    except MocoError as error:
        output.error(str(error), error.exit_code, error)
        return error.exit_code
    except KeyboardInterrupt as error:
        kept = "; finished trials are in the ledger, continue with --resume" if resumes else ""
        output.error(f"interrupted{kept}", FAILED, error)
        return FAILED
    except BaseException as error:
        if os.environ.get("MOCO_DEBUG"):
            raise
        output.error(_told(error), FAILED, error)
        return FAILED
    return answer.exit_code


def _told(error: BaseException) -> str:
    """An error that moco has not raised on purpose, and whose it is."""
    text, package = starred(in_one_line(error)), package_to_blame(error)
    if package is not None:
        return f"the package '{package}' failed: {text}; --verbose tells where"
    if isinstance(error, (OSError, MemoryError)):
        return text
    return f"an error that moco did not expect: {text}; --verbose tells where"


ORDER = (
    *("search", "sweep", "distill", "demo", "compare", "report", "repair", "profile", "apply"),
    *("payoff", "sensitivity", "correlate", "reproduce", "init", "doctor", "serve"),
)


class Commands(TyperGroup):
    """The commands; a wrong command or option is told in one line, with the nearest one, as all errors are."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names in the order in which they are of use, wherever they are defined."""
        return sorted(super().list_commands(ctx), key=ORDER.index)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of what was typed, or the error in what stands before the command."""
        as_json = "--json" in args
        with _told_in_one_line(as_json):
            context = super().make_context(info_name, args, parent, **extra)
        context.obj = as_json
        return context

    def invoke(self, ctx: Any) -> Any:
        """Run the command, or tell the error in what stands behind it."""
        with _told_in_one_line(ctx.obj):
            return super().invoke(ctx)


def _text(error: Any) -> str:
    """What the parser says, with the nearest options in words: typer before 0.27 shows them as Python does."""
    near = getattr(error, "possibilities", None)
    return f"{error.message} (Possible options: {', '.join(sorted(near))})" if near else str(error.format_message())


@contextmanager
def _told_in_one_line(as_json: bool) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # `moco` alone: its text is the help
            raise
        typed = error.ctx.command_path if error.ctx is not None else "moco"
        text = _text(error).rstrip(".")
        more = f" See {typed} --help" if text.endswith("?") else f"; see {typed} --help"
        Output(as_json=as_json).error(f"{text[:1].lower()}{text[1:]}{more}", USAGE)
        raise typer.Exit(USAGE) from None
