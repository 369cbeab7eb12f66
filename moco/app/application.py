"""The command line's application, that each command registers with, and how a command reads its experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from moco import __version__
from moco.app.command import Commands

app = typer.Typer(
    cls=Commands,
    help="Compress trained vision networks by search, measured and certified on the device that will run them.",
    epilog=f"moco {__version__}. Begin with: moco demo, or moco init for your own data",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"moco {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, Option("--version", callback=_show_version, is_eager=True, help="Show moco's version and exit.")
    ] = False,
) -> None:
    """What all commands share."""


def experiment_in(experiment: Path, overrides: list[str] | None, allow_import: bool, workers: int | None = None) -> Any:
    """The experiment of a file with these keys changed; a ConfigError says what is wrong with it."""
    from moco.experiment.loading import load_experiment

    return load_experiment(experiment, changed(overrides, workers), allow_import=allow_import)


def changed(overrides: list[str] | None, workers: int | None) -> list[str]:
    """All keys that the command line changes."""
    return [*(overrides or ()), *([] if workers is None else [f"workers={workers}"])]
