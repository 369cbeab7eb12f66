"""moco: compresses trained vision networks by search, measured on the device that will run them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from moco.problem import Problem
from moco.space import SearchSpace
from moco.trial import Evaluation, Trial

__version__ = "0.1.0"
__all__ = [
    "Evaluation",
    "Problem",
    "SearchResult",
    "SearchSpace",
    "Trial",
    "compare",
    "compress",
    "load_network",
    "optimize",
    "search",
]

_LAZY = {
    "search": "moco.app.search_function",
    "SearchResult": "moco.app.search_function",
    "compare": "moco.app.compare_function",
    "optimize": "moco.app.optimize",
    "compress": "moco.app.optimize",
    "load_network": "moco.app.load_network",
}

if TYPE_CHECKING:
    from moco.app.compare_function import compare
    from moco.app.load_network import load_network
    from moco.app.optimize import compress, optimize
    from moco.app.search_function import SearchResult, search
else:

    def __getattr__(name: str) -> object:
        """The application's functions, imported when they are first used."""
        if name in _LAZY:
            return getattr(import_module(_LAZY[name]), name)
        raise AttributeError(f"module 'moco' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
