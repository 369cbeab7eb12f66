"""`moco.optimize` and `moco.compress`: your own network, no YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from torch import nn

from moco.app.arguments import whole
from moco.compression.compressor import compress
from moco.data.sources import as_data_sets
from moco.experiment.build import Overrides
from moco.experiment.loading import experiment_of
from moco.experiment.search import search_experiment
from moco.models.plain import unwrapped
from moco.registry import DEFAULT_OBJECTIVE, DEFAULT_SEARCHER, DEFAULT_TARGET, plugin
from moco.run.progress import Progress

DEFAULT_SPACE = {
    "groups": "per-block",
    "filter_pruning": {"keep": [0.3, 1.0], "rank": "l1"},
    "quantization": {"precision": ["float32", "int8"]},
}


def optimize(  # noqa: PLR0913, each is a keyword of the published signature
    network: nn.Module,
    *,
    train: Any,
    test: Any,
    objective: str = DEFAULT_OBJECTIVE,
    floor: str | Mapping[str, Any] | None = None,
    constraints: Mapping[str, str] | None = None,
    target: str = DEFAULT_TARGET,
    searcher: str = DEFAULT_SEARCHER,
    trials: int = 100,
    seconds: float | None = None,
    seed: int = 0,
    out: str | Path = "runs/optimize",
    resume: bool = False,
    workers: int = 1,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Search the best compressed networks of a trained network and deliver the certified one.

    Args:
        network: takes (n, channels, height, width), gives logits (n, classes).
        train: map-style data set of (image, label), images normalised as the network takes them.
        test: as `train`; of images that the network was not trained on.
        objective: `accuracy-guaranteed` or `resource-constrained`.
        floor: of the accuracy-guaranteed protocol, such as "-2 pp" or {"value": "-2 pp", "confidence": 0.9}.
        constraints: bounds by metric, such as {"latency_ms": "<= 0.8x"}.
        target: a registered runtime; its options are `settings={"target": {…}}`.
        searcher: a registered strategy; its options are `settings={"searcher": {…}}`.
        trials: the budget.
        seconds: the budget in wall-clock time; None sets no limit.
        out: the run folder.
        resume: whether to go on with the search that `out` holds.
        workers: processes that evaluate candidates at the same time; each is forked and builds its own evaluator.
        settings: further keys of an experiment, as in its YAML, such as {"space": {"groups": "per-stage"}}; in a
            section they replace those that are given above.
        progress: a `moco.run.progress.Progress` that shows the search while it works; None shows nothing.

    Returns:
        The content of result.json; the networks are in the run folder.

    Raises:
        MocoError: in one line, what is wrong.
    """
    workers = whole("workers", workers, 1)
    kind = plugin("objective", str(objective), "objective.protocol")
    protocol: dict[str, Any] = {"protocol": objective, **deepcopy(getattr(kind, "on_any_machine", {}))}
    if floor is not None:
        protocol["floor"] = floor if isinstance(floor, str) else dict(floor)
    if constraints is not None:
        protocol["constraints"] = dict(constraints)
    sections: dict[str, Any] = {
        "name": re.sub(r"[^A-Za-z0-9._+-]+", "-", Path(out).resolve().name).strip("-.") or "optimize",
        "seed": seed,
        "model": {"name": type(unwrapped(network)).__name__},
        "data": {"source": "python"},
        "space": dict(DEFAULT_SPACE),
        "target": {"runtime": target},
        "objective": protocol,
        "searcher": {"name": searcher},
        "budget": {"trials": trials, "seconds": seconds},
        "workers": None if workers == 1 else workers,
    }
    sections = _merged(sections, settings or {})
    own = Overrides(network, as_data_sets(train, test))
    return search_experiment(experiment_of(sections), Path(out), overrides=own, resume=resume, progress=progress)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `over`, also within the sections."""
    merged = dict(base)
    for key, value in over.items():
        section = merged.get(key)
        merged[key] = {**section, **value} if isinstance(section, Mapping) and isinstance(value, Mapping) else value
    return merged


__all__ = ["compress", "optimize"]
