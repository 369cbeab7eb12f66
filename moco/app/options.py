"""Options that several commands share, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from moco.registry import names


def searcher_names(incomplete: str) -> list[str]:
    """Names that complete the last of a list of searchers."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in names("searcher") if name.startswith(last)]


ExperimentPath = Annotated[
    Path, Argument(metavar="EXPERIMENT.yaml", help="What to search, in YAML; `moco init` writes one.")
]
SetKeys = Annotated[
    list[str] | None,
    Option("--set", metavar="KEY=VALUE", help="Change one key of the experiment: --set budget.trials=20. Repeatable."),
]
AllowImport = Annotated[
    bool, Option("--allow-import", help="Let the experiment run code of yours: `import` of a model, data or a step.")
]
Workers = Annotated[
    int | None,
    Option("--workers", metavar="N", help="Processes that evaluate at the same time, such as 2; default: 1"),
]
Targets = Annotated[
    str | None,
    Option(metavar="NAME,NAME", help="Runtimes, such as onnxruntime,openvino, compared; default: the experiment's"),
]
Resume = Annotated[bool, Option("--resume", help="Go on with what the run folder holds, after an interruption.")]
