"""`moco init`: a commented experiment for the user's data, written from what is found beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moco.errors import ConfigError
from moco.first_experiment.floor import floor_for
from moco.first_experiment.images import images_of
from moco.first_experiment.network import network_of
from moco.first_experiment.text import experiment_text
from moco.first_experiment.this_machine import this_machine
from moco.whole_file import writes


@dataclass(frozen=True)
class InitRequest:
    """What the command line says; all else is looked for, in `places` or, without any, in this folder."""

    places: tuple[Path, ...] = ()
    model: str | None = None
    train: Path | None = None
    test: Path | None = None
    weights: Path | None = None


@dataclass(frozen=True)
class WrittenExperiment:
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


def write_experiment(asked: InitRequest, out: Path) -> WrittenExperiment:
    """Write the experiment to `out`, which must not exist.

    A ConfigError where it does, where nothing is found in the named places, or where the network cannot be told; a
    RunFolderError where the file cannot be written.
    """
    if out.exists():
        raise ConfigError(f"{out}: exists already and is not overwritten; choose another --out")
    images = images_of(asked.places, asked.train, asked.test)
    network = network_of(asked.model, asked.weights, images, [*asked.places, Path()])
    machine = this_machine()
    name = _name(asked, out)
    floor = floor_for(images)
    text = experiment_text(name, images, network, machine, out.absolute().parent, floor)
    with writes(f"{out}:"):
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    allowed = " --allow-import" if network.import_path is not None else ""
    found = (*images.found, *network.found, *machine.found)
    return WrittenExperiment(
        out, found, (*images.guessed, *network.guessed, *floor.guessed), f"moco search {out}{allowed}"
    )


def _name(asked: InitRequest, out: Path) -> str:
    """The experiment's name: the folder's that was named, else the file's or its folder's."""
    place = next((path.absolute() for path in asked.places if path.is_dir()), None)
    words = place.name if place else out.stem if out.stem != "experiment" else out.absolute().parent.name
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", words).strip("_.-+") or "mine"
