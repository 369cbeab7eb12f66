"""Which training is under way, kept in the run folder: an interrupted one goes on as it was meant.

Bit by bit, unless the machine has become so slow that its seconds end it before its steps do.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from moco.errors import RunFolderError
from moco.run_folder.writing import write_json

FILE = "training.json"


@dataclass(frozen=True)
class TrainingOrder:
    """A training as it was begun."""

    of: int  # number of the trial whose network is trained
    trial: int  # of the trial that it goes on from: that one, or a finalist of the round before
    round: int  # from 0 on
    steps: int  # of this round
    steps_before: int
    in_codes: bool = False
    seconds: float | None = None  # of the processor, that it may take at most; fewer steps are made where it would

    def write(self, folder: Path) -> None:
        """Keep it in the folder of the finalists."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / FILE, asdict(self))

    @staticmethod
    def read(folder: Path) -> TrainingOrder | None:
        """What is kept there; None where no training is under way. A RunFolderError where it cannot be read."""
        path = folder / FILE
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return TrainingOrder(**{f.name: data[f.name] for f in fields(TrainingOrder) if f.name in data})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RunFolderError(f"{path}: cannot be read ({type(error).__name__}); remove it to train anew") from None

    @staticmethod
    def done(folder: Path) -> None:
        """Forget it: its trial is in the ledger."""
        (folder / FILE).unlink(missing_ok=True)
