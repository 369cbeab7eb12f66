"""What `moco profile --out` writes: the measurements as JSON, raw samples and all, the console's tables, and a page."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from moco.app.output import console, plain
from moco.report.console import profile_tables
from moco.report.profile_page import Found, profile_page
from moco.run_folder.writing import refuse_owned, write_json, write_text
from moco.whole_file import writes


def profile_paths(out: Path) -> tuple[Path, Path, Path]:
    """The JSON, the tables and the page: `out` itself where it ends in .json, with the others beside it.

    Else profile.* in the folder. The folder is made; a RunFolderError where it cannot be, or where a search runs in it.
    """
    data = out if out.suffix == ".json" and not out.is_dir() else out / "profile.json"
    refuse_owned(data.parent)
    with writes(f"{data.parent}: the measurements"):
        data.parent.mkdir(parents=True, exist_ok=True)
    return data, data.with_suffix(".txt"), data.with_suffix(".html")


def write_profile(found: Found, data: Path, tables: Path, page: Path) -> None:
    """Write the three files; a RunFolderError where that fails."""
    text = StringIO()
    for part in profile_tables(found):
        console(text).print(part)
    write_json(data, plain(found.to_json()))
    write_text(tables, "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n")
    write_text(page, profile_page(found))
