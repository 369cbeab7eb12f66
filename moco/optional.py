"""Packages that only some parts need: each belongs to an extra of moco's, `pip install 'moco[EXTRA]'`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from moco.errors import ConfigError

EXTRAS = {
    "ai_edge_litert": "litert",
    "ax": "ax",
    "botorch": "botorch",
    "fastapi": "serve",
    "gpytorch": "botorch",
    "linear_operator": "botorch",
    "mlflow": "mlflow",
    "mlxtend": "data",
    "openvino": "openvino",
    "starlette": "serve",
    "tensorrt": "tensorrt",
    "timm": "timm",
    "tvm": "tvm",
    "uvicorn": "serve",
}
"""The extra that brings a package, by the name under which the package is imported."""


def installed(package: str) -> bool:
    """Whether the package can be imported; it is not imported here."""
    return find_spec(package) is not None


def require(package: str, where: str) -> None:
    """Pass where the package is installed; a ConfigError says what needs it and which extra brings it."""
    if not installed(package):
        raise _missing(package, where)


@contextmanager
def needed_by(where: str) -> Iterator[None]:
    """Within, an import that fails because an extra is not installed is refused in one line, as by `require`."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise _missing(package, where) from error


def _missing(package: str, where: str) -> ConfigError:
    extra = EXTRAS[package]
    return ConfigError(f"{where} needs '{package}', which is not installed here: pip install 'moco[{extra}]'")
