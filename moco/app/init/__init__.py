"""`moco init`: a commented experiment for the user's data, written from what is found beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moco.app.init.images import images_of
from moco.app.init.network import network_of
from moco.app.init.text import experiment_text
from moco.app.init.this_machine import this_machine
from moco.errors import ConfigError, RunFolderError


@dataclass(frozen=True)
class Given:
    """What the command line says; all else is looked for, in `places` or, without any, in this folder."""

    places: tuple[Path, ...] = ()
    model: str | None = None
    train: Path | None = None
    test: Path | None = None
    weights: Path | None = None


@dataclass(frozen=True)
class Begun:
    """The file that was written, and why it says what it says."""

    file: Path
    found: tuple[str, ...]
    guessed: tuple[str, ...]
    next: str  # the command that runs it

    @property
    def lines(self) -> list[str]:
        """All of it, a line each; the last one says what to do next."""
        told = [f"found: {text}" for text in self.found] + [f"guessed: {text}" for text in self.guessed]
        return [*told, f"{self.file} is written: read it, then {self.next}"]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"file": str(self.file), "found": list(self.found), "guessed": list(self.guessed), "next": self.next}


def started(given: Given, out: Path) -> Begun:
    """Write the experiment to `out`, which must not exist.

    A ConfigError where it does, where nothing is found in the named places, or where the network cannot be told.
    """
    if out.exists():
        raise ConfigError(f"{out}: exists already and is not overwritten; choose another --out")
    images = images_of(given.places, given.train, given.test)
    network = network_of(given.model, given.weights, images, [*given.places, Path()])
    machine = this_machine()
    name = _name(given, out)
    text = experiment_text(name, images, network, machine, out.absolute().parent)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise RunFolderError(f"{out}: cannot be written: {error.strerror or error}") from None
    allowed = " --allow-import" if network.import_path is not None else ""
    found = (*images.found, *network.found, *machine.found)
    return Begun(out, found, (*images.guessed, *network.guessed), f"moco search {out}{allowed}")


def _name(given: Given, out: Path) -> str:
    """The experiment's name: the folder's that was named, else the file's or its folder's."""
    place = next((path.absolute() for path in given.places if path.is_dir()), None)
    words = place.name if place else out.stem if out.stem != "experiment" else out.absolute().parent.name
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", words).strip("_.-+") or "mine"
