"""What `moco profile --out` writes: the measurements as JSON, raw samples and all, and the table of the console."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from moco.app.output import console, plain
from moco.app.profile import Profile, profile_table
from moco.metrics import COLUMNS, shown
from moco.run_folder.writing import refuse_owned, write_json, write_text
from moco.whole_file import writes


def profile_paths(out: Path) -> tuple[Path, Path]:
    """The JSON and the table: `out` itself where it ends in .json, with a .txt beside it, else profile.* in the folder.

    The folder is made; a RunFolderError where it cannot be, or where a search runs in it.
    """
    data = out if out.suffix == ".json" and not out.is_dir() else out / "profile.json"
    refuse_owned(data.parent)
    with writes(f"{data.parent}: the measurements"):
        data.parent.mkdir(parents=True, exist_ok=True)
    return data, data.with_suffix(".txt")


def write_profile(profile: Profile, data: Path, table: Path) -> None:
    """Write both files; a RunFolderError where that fails."""
    text = StringIO()
    console(text).print(profile_table(profile))
    write_json(data, plain(profile.to_json()))
    write_text(table, "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n")


def profile_line(profile: Profile) -> str:
    """The main metrics in one line, of those that were measured."""
    measured = (f"{name} {shown(name, profile.metrics[name].value)}" for name in COLUMNS if name in profile.metrics)
    return f"{profile.name}: {', '.join(measured)}"
