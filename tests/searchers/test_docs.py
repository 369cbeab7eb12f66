"""docs/searchers.md names every registered searcher with all of its options and their defaults."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from moco import registry

PAGE = Path(__file__).resolve().parents[2] / "docs" / "searchers.md"


def options_in_page() -> dict[str, set[str]]:
    """Names of the options by searcher; an empty first cell goes on with the searchers of the row before."""
    found: dict[str, set[str]] = {}
    names: list[str] = []
    for line in PAGE.read_text(encoding="utf-8").partition("## Options")[2].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| ") or cells[0] == "searcher":
            continue
        names = quoted(cells[0]) or names
        for name in names:
            found.setdefault(name, set()).update(quoted(cells[1]))
    return found


def quoted(cell: str) -> list[str]:
    return cell.split("`")[1::2]


@pytest.mark.parametrize("name", registry.names("searcher"))
def test_every_searcher_and_option_is_documented(name: str) -> None:
    options = {field.name for field in fields(registry.plugin("searcher", name).Options)}
    assert options_in_page().get(name, set()) == options
    assert f"`{name}`" in PAGE.read_text(encoding="utf-8").partition("## Options")[0]
