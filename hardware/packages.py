"""Whether packages are there and work, for `moco doctor`: each is imported in a fresh process of its own.

A broken one cannot take the doctor down so, and what moco has loaded already cannot hide a fault. Needs no torch.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from moco.interfaces import Finding

LIMIT_S = 60.0
TORCHVISION = "from moco.models.torchvision_shim import import_torchvision; import_torchvision()"
"""As moco imports it, so that it works beside a torch whose operators its own do not fit."""


@dataclass(frozen=True)
class Package:
    """A package of moco's.

    Attributes:
        name: what pip calls it.
        statement: what imports it.
        extra: the extra of moco's that brings it; None for what every installation has.
        use: what an extra's package is for.
    """

    name: str
    statement: str
    extra: str | None = None
    use: str = ""


PACKAGES = (
    Package("torch", "import torch"),
    Package("torchvision", TORCHVISION),
    Package("onnx", "import onnx"),
    Package("onnxscript", "import onnxscript"),
    Package("optuna", "import optuna"),
    Package("numpy", "import numpy"),
    Package("scipy", "import scipy.optimize"),
    Package("scikit-learn", "import sklearn.datasets"),
    Package("moocore", "import moocore"),
    Package("cmaes", "import cmaes"),
    Package("tensorly", "import tensorly"),
    Package("pillow", "import PIL.Image"),
    Package("pyarrow", "import pyarrow.parquet"),
    Package("safetensors", "import safetensors.torch"),
    Package("plotly", "import plotly.graph_objects"),
    Package("pydantic", "import pydantic"),
    Package("mlflow", "import mlflow", "mlflow", "`tracking.mlflow`"),
    Package("optuna-dashboard", "import optuna_dashboard", "dashboard", "looking at the ledger in a browser"),
    Package("botorch", "import botorch", "botorch", "the searcher botorch"),
    Package("ax-platform", "import ax", "ax", "the searcher ax"),
    Package("timm", f"{TORCHVISION}; import timm", "timm", "networks by `timm/NAME`"),
    Package("fastapi", "import fastapi", "serve", "`moco serve`"),
    Package("uvicorn", "import uvicorn", "serve", "`moco serve`"),
    Package("psycopg", "import psycopg", "postgres", "a ledger in PostgreSQL"),
)
"""In the order to show them. Without targets, which say themselves what they need, and what this command has loaded."""


def package_findings(packages: Iterable[Package] = PACKAGES) -> tuple[Finding, ...]:
    """A finding a package: its version, that it is missing and for what, or how its import fails."""
    packages = tuple(packages)
    found = [_version(package.name) for package in packages]
    faults = iter(import_faults([p.statement for p, there in zip(packages, found, strict=True) if there is not None]))
    return tuple(
        _missing(package) if there is None else _imported(package, there, next(faults))
        for package, there in zip(packages, found, strict=True)
    )


def import_faults(statements: Sequence[str]) -> list[str | None]:
    """How each statement fails in a fresh process with this one's search path, in words; None where it does not.

    As many run side by side as there are cores.
    """
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(_fault, statements))


def _fault(statement: str) -> str | None:
    code = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); {statement}"
    command = [sys.executable, "-P", "-c", code, json.dumps(sys.path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"its import took more than {LIMIT_S:.0f} s"
    if done.returncode < 0:
        return f"its import ended the process: {signal.Signals(-done.returncode).name}"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return f"cannot be imported: {lines[-1] if lines else f'the process ended with {done.returncode}'}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _imported(package: Package, there: str, fault: str | None) -> Finding:
    if fault is None:
        return Finding(package.name, True, there)
    return Finding(package.name, False, f"{there}, {fault}", f"pip install --force-reinstall {package.name}")


def _missing(package: Package) -> Finding:
    if package.extra is None:
        return Finding(package.name, False, "not installed", f"pip install {package.name}")
    return Finding(
        package.name, False, f"not installed: needed for {package.use}", f"pip install 'moco[{package.extra}]'"
    )
