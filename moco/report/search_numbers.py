"""The numbers of a search for trackers: those that searches are compared by, and curves over its trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from moco.comparison.curves import hypervolumes
from moco.metrics import COLUMNS, COST, COUNTED_IN_VERDICT, ERRORS
from moco.report.formatting import ratio
from moco.report.verdict import chosen_metrics
from moco.run_folder.reading import numbers
from moco.run_folder.result import Result
from moco.run_folder.trial_record import TrialRecord

_COMPARED = 9  # metrics of networks, each of which stands three times: chosen, reference and their ratio


def search_metrics(result: Result) -> dict[str, float]:
    """The numbers that searches are compared by, at most 38; `best_score` and `hypervolume` come as curves."""
    best, reference, certificate = chosen_metrics(result), numbers(result.reference), result.certificate
    wanted = [*result.objectives, *COLUMNS, *COUNTED_IN_VERDICT]
    names = [name for name in dict.fromkeys(wanted) if name in best or name in reference][:_COMPARED]
    found: dict[str, float | None] = {f"best/{name}": best.get(name) for name in names}
    compared = [name for name in names if name not in {*ERRORS, COST}]
    found |= {f"ratio/{name}": ratio(best.get(name), reference.get(name)) for name in compared}
    found |= {f"reference/{name}": reference.get(name) for name in names if name != COST}
    if certificate is not None:
        ends = {name: getattr(certificate, name) for name in ("estimate", "lower_bound", "floor")}
        found |= {f"certificate/{name}": value for name, value in ends.items() if isinstance(value, (int, float))}
    found["front_size"] = len(result.front)
    found |= {name: getattr(result, name) for name in ("trials", "distinct", "feasible")}
    return numbers({**found, "seconds": result.seconds.get("total"), "warnings": len(result.warnings)})


def anytime_curves(
    trials: Sequence[TrialRecord], reference_point: Sequence[float] | None
) -> dict[str, dict[int, float]]:
    """Best score and hypervolume of the feasible front after each trial, as a comparison's runs have them."""
    told = sorted(trials, key=lambda trial: trial.number)
    scores = (trial.score if trial.feasible and trial.score is not None else -math.inf for trial in told)
    best = {step: score for step, score in enumerate(accumulate(scores, max), 1) if score > -math.inf}
    if reference_point is None:
        return {"best_score": best}
    count = len(reference_point)
    losses = [t.losses if t.feasible and t.losses is not None and len(t.losses) == count else None for t in told]
    return {"best_score": best, "hypervolume": dict(enumerate(hypervolumes(losses, reference_point), 1))}
