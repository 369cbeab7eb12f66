"""No registered name stands outside its home, the registry, tests and texts for people."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from moco.registry import BUILT_IN
from tests.import_rules import ROOT

SOURCES = ("moco", "searchers", "objectives", "hardware")


@dataclass(frozen=True)
class Kind:
    """A row of the table.

    Attributes:
        homes: files and folders where its names are at home.
        allowed: (file, name) with the reason why a name stands there.
    """

    kind: str
    homes: tuple[str, ...]
    allowed: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Its registered names."""
        return tuple(BUILT_IN[self.kind])


DEFAULT_SPACE = "what moco.optimize does where nothing is asked for"
PAYOFF_WORDS = "the words of payoff.json for what the pay-off analysis tries"

KINDS = (
    Kind(
        "method",
        ("moco/compression/methods/",),
        {
            ("moco/app/optimize.py", "filter_pruning"): DEFAULT_SPACE,
            ("moco/app/optimize.py", "quantization"): DEFAULT_SPACE,
            ("moco/analysis/payoff/verdicts.py", "filter_pruning"): PAYOFF_WORDS,
            ("moco/analysis/payoff/verdicts.py", "factorisation"): PAYOFF_WORDS,
        },
    ),
    Kind(
        "ranking",
        ("moco/compression/rankings/",),
        {
            ("moco/app/optimize.py", "l1"): DEFAULT_SPACE,
            ("moco/testing/searcher.py", "random"): "the searcher whose trials another one is told",
            ("searchers/agents/layer_actions.py", "activation"): "an action of an agent: bits of activations",
        },
    ),
)


def words_of(text: str) -> Iterator[tuple[int, str]]:
    """Line and word of each name in code: attributes, keywords, and strings that are no prose."""
    tree = ast.parse(text)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.lineno, f".{node.attr}"
        elif isinstance(node, ast.keyword) and node.arg is not None:
            yield node.value.lineno, f".{node.arg}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            words = re.split(r"[^\w-]+", node.value) if not re.search(r"\s", node.value.strip()) else ()
            yield from ((node.lineno, word) for word in words)


def strays(row: Kind, texts: dict[str, str]) -> list[str]:
    """`file:line: name` of each name of a kind that is not at home; of single words only methods as attributes."""
    attributes = {f".{name}": name for name in row.names if "_" in name or row.kind == "method"}
    wanted = {**attributes, **{name: name for name in row.names}}
    return [
        f"{path}:{line}: {wanted[word]}"
        for path, text in sorted(texts.items())
        if path != "moco/registry.py" and not path.startswith(row.homes)
        for line, word in words_of(text)
        if word in wanted and (path, wanted[word]) not in row.allowed
    ]


def sources() -> dict[str, str]:
    """Source text by path; links to the plug-in folders are not followed."""
    paths = (path for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))
    real = {path.relative_to(ROOT).as_posix(): path for path in paths if not _is_linked(path)}
    return {name: path.read_text(encoding="utf-8") for name, path in real.items()}


def _is_linked(path: Path) -> bool:
    return any(folder.is_symlink() for folder in path.parents)


@pytest.mark.parametrize("row", KINDS, ids=lambda row: row.kind)
def test_a_registered_name_stands_at_home_only(row: Kind) -> None:
    assert strays(row, sources()) == []


@pytest.mark.parametrize("row", KINDS, ids=lambda row: row.kind)
def test_every_allowance_is_needed(row: Kind) -> None:
    bare = Kind(row.kind, row.homes)
    found = {(line.split(":")[0], line.rpartition(" ")[2]) for line in strays(bare, sources())}
    assert set(row.allowed) <= found


def test_a_name_is_found_however_it_is_written() -> None:
    text = '''"""All about sparsity."""
a = space.sparsity
b = {"sparsity": 1}["sparsity"]
c = f"space.sparsity.{key}"
d = call(sparsity=1)
e = "sparsity in a sentence for people"
'''
    lines = sorted(line.split(":")[1] for line in strays(KINDS[0], {"moco/x.py": text}))
    assert lines == ["2", "3", "3", "4", "5"]
    assert strays(KINDS[0], {"moco/registry.py": text, "moco/compression/methods/x.py": text}) == []
