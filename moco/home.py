"""Where moco keeps what is of many searches: the evaluation store, and MLflow's runs where no address is given."""

from __future__ import annotations

import os
from pathlib import Path

from moco.errors import ConfigError

VARIABLE = "MOCO_HOME"


def home() -> Path:
    """The folder that MOCO_HOME names, else `moco` in XDG_DATA_HOME, which is ~/.local/share where it is not set.

    A ConfigError where a home folder that MOCO_HOME names is not there, an OSError where this user has none.
    """
    if given := os.environ.get(VARIABLE):
        return expanded(given, VARIABLE).absolute()
    if data := os.environ.get("XDG_DATA_HOME"):
        return Path(data) / "moco"
    try:
        return Path.home() / ".local/share/moco"
    except RuntimeError as error:
        raise FileNotFoundError(str(error)) from None


def expanded(path: str, where: str) -> Path:
    """The path with the home folder in place of `~` or `~user`; a ConfigError at `where` if there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(f"{where} '{path}': there is no home folder of '{path.partition('/')[0]}' here") from None


def shared_file(name: str, out: Path) -> Path:
    """Where the file of that name lies that searches share; its folder is there afterwards.

    Beside the run folder `out` if it is there already, as earlier versions of moco wrote it, or if `home` cannot be
    written. A ConfigError where MOCO_HOME names a home folder that is not there.
    """
    beside = out.resolve().parent / name
    if beside.exists():
        return beside
    try:
        folder = home()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return beside
    return folder / name if os.access(folder, os.W_OK) else beside
