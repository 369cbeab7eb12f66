"""Write golden records anew: `python -m tests.golden.write [NAME…]`. Read README.md first."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.golden import (
    test_compare,
    test_files,
    test_ledgers,
    test_old_run_folder,
    test_run_folder,
    test_store,
    test_suggestions,
    test_surface,
)
from tests.golden.records import DATA, environment, write

DUMPS: dict[str, Callable[[Path], str]] = {
    "ledgers_format2": test_ledgers.begun,
    "evaluations": test_store.filled,
}
"""Databases that earlier versions left: written first, as records are made of them. The first format's is history."""
RECORDS: dict[str, Callable[[Path], Any]] = {
    "environment": lambda _: environment(),
    "surface": test_surface.made,
    "exit_codes": test_surface.made_codes,
    "suggestions": test_suggestions.made,
    "ledgers": test_ledgers.made,
    "files": test_files.made,
    "run_folder": test_run_folder.made,
    "run_folder_timed": test_run_folder.made_timed,
    "compare": test_compare.made,
    "store": test_store.made,
    "old_run_folder": test_old_run_folder.made,
}


def main(names: list[str]) -> None:
    for name in names or [*DUMPS, "run", *RECORDS]:
        with tempfile.TemporaryDirectory() as folder:
            if name in DUMPS:
                (DATA / f"{name}.sql").write_text(DUMPS[name](Path(folder)), encoding="utf-8")
            elif name == "run":
                shutil.rmtree(test_old_run_folder.RUN, ignore_errors=True)
                shutil.copytree(test_old_run_folder.written(Path(folder)), test_old_run_folder.RUN)
            else:
                write(name, RECORDS[name](Path(folder)))
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
