"""The packages that the pages adding_….md of docs/ show, installed as they stand there."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from moco import registry

DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Example:
    """The package of a page.

    Attributes:
        kind, name: what its entry point registers.
        folder: on Python's path, where it lies as pip would have put it.
        test: how the page says to test it.
        yaml: what an experiment says to use it.
    """

    kind: str
    name: str
    folder: Path
    test: str
    yaml: dict[str, Any]

    @property
    def plugin(self) -> Any:
        """Its class, as the registry gives it."""
        return registry.plugin(self.kind, self.name)


def blocks(page: str, language: str) -> list[str]:
    """The blocks of code in that language on a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@contextmanager
def installed(page: str, folder: Path) -> Iterator[Example]:
    """The example of a page, installed in the block."""
    code, test = blocks(page, "python")
    [toml], [section] = blocks(page, "toml"), blocks(page, "yaml")
    project = tomllib.loads(toml)["project"]
    [(group, points)] = project["entry-points"].items()
    [(name, place)] = points.items()
    module = place.partition(":")[0]
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    about = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(about, encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {place}\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr("moco.setting_owners._of_plugins", {})
        yield Example(group.removeprefix("moco."), name, folder, test, yaml.safe_load(section))
    sys.modules.pop(module, None)
