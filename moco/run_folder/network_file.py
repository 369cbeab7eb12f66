"""The network in a delivered folder, in whatever form its target takes: `model` with the ending of that form."""

from __future__ import annotations

import re
from pathlib import Path

STEM = "model"
USUAL = f"{STEM}.onnx"
"""Its name where the target takes moco's files as they are."""
NAME = re.compile(rf"{STEM}\.(?!partial$)\w+")


def file_name(form: Path) -> str:
    """What a network of that file's form is called where it is delivered."""
    return f"{STEM}{form.suffix}"


def is_network(name: str) -> bool:
    """Whether a delivered network is called so."""
    return NAME.fullmatch(name) is not None


def network_file(folder: Path) -> Path | None:
    """The network that lies in a folder, such as RUN/best; None where there is none."""
    found = sorted(path for path in folder.glob(f"{STEM}.*") if is_network(path.name)) if folder.is_dir() else []
    return found[0] if found else None


def usual_name(run: Path) -> str:
    """What all delivered networks of a run are called, as its first one is; they have one target."""
    folders = (run / "best", *sorted(run.glob("front/*")))
    return next((file.name for folder in folders if (file := network_file(folder)) is not None), USUAL)
