"""Where moco keeps what is of many searches: the evaluation store, and MLflow's runs where no address is given."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "MOCO_HOME"


def home() -> Path:
    """The folder that MOCO_HOME names, else `moco` in XDG_DATA_HOME, which is ~/.local/share where it is not set."""
    if given := os.environ.get(VARIABLE):
        return Path(given).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path("~/.local/share").expanduser()) / "moco"


def shared_file(name: str, out: Path) -> Path:
    """Where the file of that name lies that searches share; its folder is there afterwards.

    Beside the run folder `out` if it is there already, as earlier versions of moco wrote it, or if `home` cannot be
    written.
    """
    beside = out.resolve().parent / name
    if beside.exists():
        return beside
    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return beside
    return folder / name if os.access(folder, os.W_OK) else beside
