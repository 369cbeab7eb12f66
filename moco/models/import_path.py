"""A user's own code by import path: the one place that imports it, and only where that was allowed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moco.errors import ConfigError, nearest
from moco.registry import blaming


def import_object(path: str, search_path: Path | None = None, *, allowed: bool) -> Any:
    """What `package.module:attribute` names; the attribute may have dots.

    `search_path` is looked in first, for example the folder of the experiment, the current one next. A ConfigError
    where nobody has `allowed` it, the path is malformed, the module cannot be imported, or has no such attribute.
    """
    if not allowed:
        raise ConfigError(not_allowed("import path", path))
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute or not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigError(f"import path '{path}': expected 'package.module:attribute'")
    folders = [folder for folder in (search_path, Path.cwd()) if folder is not None]
    with _searched(folders), blaming(f"import path '{path}': module '{module_name}' cannot be imported"):
        found: Any = importlib.import_module(module_name)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"import path '{path}': '{module_name}' has no '{attribute}'{_near(part, found)}")
        found = getattr(found, part)
    return found


def not_allowed(where: str, path: object) -> str:
    """What is said of an import path, read at the key path `where`, that nobody has allowed."""
    return f"{where}: '{path}' runs code that the experiment names; allow it by --allow-import"


def called(path: str, where: str, folder: Path | None, *, allowed: bool, **options: Any) -> Any:
    """What the user's own function gives; `folder` is searched for its module first.

    A ConfigError at the key path `where` if it is not `allowed`, cannot be imported, or fails.
    """
    function = import_object(path, folder, allowed=allowed)
    with blaming(f"{where}: '{path}' failed"):
        return function(**options)


def _near(name: str, owner: object) -> str:
    """The nearest public attribute, as the end of an error message."""
    public = [attribute for attribute in vars(owner) if not attribute.startswith("_")]
    return nearest(name, public) if public else ""


@contextmanager
def _searched(folders: list[Path]) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
