"""moco: compresses trained vision networks by search, measured on the device that will run them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from moco.problem import Problem
from moco.space import SearchSpace

__version__ = "0.1.0"
__all__ = ["Problem", "SearchSpace", "compare", "compress", "load_network", "optimize", "search"]

_LAZY = {
    "search": "moco.app.search_function",
    "compare": "moco.app.compare_function",
    "optimize": "moco.app.optimize",
    "compress": "moco.app.optimize",
    "load_network": "moco.app.load_network",
}


def __getattr__(name: str) -> Any:
    """The application's functions, imported when they are first used."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'moco' has no attribute '{name}'")
