"""Prints a constraints file for pip: the lowest version that pyproject.toml accepts of each package with a bound.

torch and torchvision are left out: constraints.txt pins the only build that every machine can get.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
EXEMPT = {"torch", "torchvision"}


def lowest() -> Iterator[str]:
    """`name==version` for each lower bound, of the extras too."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(text for extra in project["optional-dependencies"].values() for text in extra),
    ]
    for requirement in map(Requirement, wanted):
        bounds = [bound.version for bound in requirement.specifier if bound.operator == ">="]
        if bounds and requirement.name not in EXEMPT:
            yield f"{requirement.name}=={bounds[0]}"


if __name__ == "__main__":
    print("\n".join(sorted(set(lowest()))))
