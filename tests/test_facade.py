"""The names of `import moco`: what dir() and a type checker see, and what the names are."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import moco
from tests.import_rules import ROOT

SNIPPET = """
import moco

reveal_type(moco.search)
reveal_type(moco.optimize)
reveal_type(moco.SearchResult.best)
moco.serch
reveal_type(moco.Problem({"x": object()}, {"loss": "minimize"}, constraints={"loss": "<= 1"}).space)
moco.Problem("x", {"loss": "minimize"})
"""

SETTINGS = """
[mypy]
follow_imports = skip
[mypy-moco,moco.*]
follow_imports = silent
"""
"""Of mypy, for three seconds instead of thirty: what moco imports is of no interest here."""


@pytest.mark.parametrize("name", moco.__all__)
def test_every_published_name_is_there_and_listed(name: str) -> None:
    assert getattr(moco, name).__name__ == name
    assert name in dir(moco)


def test_a_name_that_is_not_published_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'moco' has no attribute 'serch'"):
        moco.serch  # type: ignore[attr-defined]  # noqa: B018


def test_the_installed_version_is_that_of_the_package() -> None:
    assert version("moco") == moco.__version__


@pytest.mark.slow
def test_a_type_checker_sees_the_published_names_and_no_others(tmp_path: Path) -> None:
    snippet, settings = tmp_path / "snippet.py", tmp_path / "mypy.ini"
    snippet.write_text(SNIPPET)
    settings.write_text(SETTINGS)
    command = [sys.executable, "-m", "mypy", "--config-file", settings, "--cache-dir", tmp_path / "cache", snippet]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    told = [line.partition("snippet.py:")[2] for line in done.stdout.splitlines()]

    assert told[0].startswith('4: note: Revealed type is "def (problem: moco.'), done.stdout + done.stderr
    assert told[0].endswith('SearchResult"')
    assert told[1].startswith('5: note: Revealed type is "def (network: ')
    assert told[2].endswith('Trial | None"')
    assert told[3] == '7: error: Module has no attribute "serch"; maybe "search"?  [attr-defined]'
    assert told[4] == '8: note: Revealed type is "moco.space.SearchSpace"'
    assert told[5].startswith('9: error: Argument 1 to "Problem" has incompatible type "str"; expected "SearchSpace | ')
