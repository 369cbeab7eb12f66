"""The examples of the pages in docs/, installed as they stand there."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def block(page: str, language: str) -> str:
    """The one block of code in that language on a page."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.M)
    return str(found)


def install(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of the module of a page's package, which lies in `folder` as pip would have put it, on Python's path."""
    project = tomllib.loads(block(page, "toml"))["project"]
    module = project["name"].replace("-", "_")
    (folder / f"{module}.py").write_text(block(page, "python"), encoding="utf-8")
    info = folder / f"{module}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8"
    )
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr("moco.setting_owners._of_plugins", {})
    monkeypatch.delitem(sys.modules, module, raising=False)
    return module
