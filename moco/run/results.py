"""The content of manifest.json and result.json (design: "Command line, run folder and Python")."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from moco import pareto
from moco.constraints import Bound
from moco.metrics import interval, shown
from moco.run.delivery import Delivery, Finisher
from moco.run.job import Job, Prepared
from moco.run.starts import to_json
from moco.run.stored_starts import STORED
from moco.run_folder.writing import summary_of
from moco.study import Start, Study, best
from moco.trial import MetricValue, Trial

STAGES = ("search", "compress", "recover", "calibrate", "export", "load", "score", "measure", "tracking", "record")


def manifest_of(
    prepared: Prepared, sessions: Sequence[str], versions: Mapping[str, str], space: Mapping[str, Any]
) -> dict[str, Any]:
    """Versions, hardware, seeds, data and split hashes, and how to reproduce the search."""
    job = prepared.job
    counts, graph = prepared.compressor.counts, prepared.compressor.graph
    reference = prepared.evaluator.reference.evaluation.metrics
    group_of = {layer: group.name for group in graph.groups.values() for layer in group.producers}
    return {
        "name": job.name,
        "created": sessions[0],
        "sessions": list(sessions),
        "fingerprint": dict(job.fingerprint),
        "reference": {name: reference[name].value for name in prepared.evaluator.plan.timing},
        "command": _command(job),
        "searcher": job.searcher,
        "seed": job.seed,
        "seeds": {"run": job.seed},
        "versions": dict(versions),
        "hardware": dict(job.target.describe()),
        "data": {
            "hash": {"train": job.data.train.content_hash, "test": job.data.test.content_hash},
            "splits": {
                name: {"images": prepared.splits.sizes[name], "hash": digest}
                for name, digest in prepared.splits.hashes.items()
            },
        },
        "network": {
            "name": job.network_name,
            "input_shape": list(job.data.train.shape),
            "layers": [
                {
                    "name": layer.name,
                    "group": group_of.get(layer.name),
                    "kind": layer.kind,
                    "out_channels": layer.out_channels,
                    "macs": layer.macs,
                    "parameters": layer.parameters,
                }
                for layer in counts.layers
            ],
        },
        "problem": {
            "objectives": dict(prepared.problem.objectives),
            "bounds": [f"{b.metric} {b.op} {b.value:.6g}" for b in prepared.problem.bounds],
        },
        "space": dict(space),
        "payoff": None if prepared.payoff is None else prepared.payoff.to_json(),
        "starts": to_json(prepared.starts),
        "config": dict(job.config),
    }


def result_of(
    prepared: Prepared,
    study: Study,
    delivery: Delivery | None,
    finisher: Finisher,
    space: Mapping[str, Any],
    warnings: Sequence[str],
) -> dict[str, Any]:
    """What the search found."""
    job, problem, trials = prepared.job, prepared.problem, study.trials
    reference_point = problem.loss_point(problem.reference_point) if problem.reference_point else None
    front = pareto.front(trials)
    losses = [trial.outcome.losses for trial in front if trial.outcome is not None]
    feasible = delivery is not None and delivery.trial.feasible
    store = prepared.store
    return {
        "experiment": job.name,
        "network": job.network_name,
        "searcher": job.searcher,
        "seed": job.seed,
        "exit": "done" if feasible else "infeasible",
        "objective": {"protocol": job.config["objective"]["protocol"], "text": _asked(prepared)},
        "objectives": list(problem.objectives),
        "reference": _reference(prepared),
        "trials": len(trials),
        "given": sum(trial.suggestion.given for trial in trials),
        "distinct": study.n_distinct,
        "feasible": sum(trial.feasible for trial in trials),
        "budget": {"trials": job.budget.trials, "seconds": job.budget.seconds},
        "best": None if delivery is None else _best(delivery),
        "retimed": {} if delivery is None else _retimed(delivery, finisher),
        "intervals": {} if delivery is None else _intervals(delivery, finisher),
        "front": [summary_of(trial, _values(problem.metrics(trial.evaluation))) for trial in front if trial.evaluation],
        "hypervolume": {
            "value": None if reference_point is None else pareto.hypervolume(losses, reference_point),
            "reference_point": None if reference_point is None else list(reference_point),
        },
        "starts": [_start(start, trials) for start in prepared.starts],
        "baselines": [_baseline(prepared, trial) for trial in _baselines(trials)],
        "certificate": None
        if delivery is None
        else _certificate(delivery, finisher.floor is None or finisher.floor.relative),
        "seconds": _seconds(trials),
        "cache": {
            "hits": (store.hits if store is not None else 0) + sum(not trial.distinct for trial in trials),
            "misses": store.misses if store is not None else study.n_distinct,
        },
        "space": dict(space),
        "warnings": list(warnings),
    }


def _command(job: Job) -> str:
    """How to run the search again from its own run folder."""
    model, data = job.config["model"], job.config["data"]
    if data["source"] == "python":
        return "moco.optimize(…) in Python, with the same network, data sets and settings (experiment.yaml)"
    imports = " --allow-import" if model.get("import") or data.get("import") else ""
    return f"moco search experiment.yaml --out again{imports}"


def timing_doubts(trials: Sequence[Trial]) -> list[str]:
    """A line where timings of the search should be doubted: how many, and the most frequent reason."""
    told = [trial.evaluation.details.get("warnings", []) for trial in trials if trial.evaluation is not None]
    doubted = [texts for texts in told if texts]
    if not doubted:
        return []
    by_kind: dict[str, list[str]] = {}
    for text in (text for texts in doubted for text in texts):
        by_kind.setdefault(re.sub(r"[\d.]+", "", text), []).append(text)
    example = max(by_kind.values(), key=len)[0]
    return [f"{len(doubted)} of {len(trials)} trials were timed under doubt, mostly as in: {example}"]


def _reference(prepared: Prepared) -> dict[str, float]:
    reference = prepared.evaluator.reference.evaluation
    return _values(prepared.problem.metrics(reference))


def _best(delivery: Delivery) -> dict[str, Any]:
    summary = summary_of(delivery.trial, _values(delivery.metrics))
    return {
        **summary,
        "score": delivery.trial.score,
        "feasible": delivery.trial.feasible,
        "origin": delivery.trial.origin,
        "holds": delivery.holds,
        "sha256": delivery.artifact.sha256,
    }


def _start(start: Start, trials: Sequence[Trial]) -> dict[str, Any]:
    """A start, whether it counted in the budget, and its trial; null where the budget ended before it."""
    trial = next((trial for trial in trials if trial.origin == start.name), None)
    return {"name": start.name, "counted": not start.given, "trial": None if trial is None else trial.number}


def _baselines(trials: Sequence[Trial]) -> list[Trial]:
    """The starts that were evaluated; of earlier evaluations the best alone, as there may be many."""
    complete = [trial for trial in trials if trial.origin != "search" and trial.evaluation is not None]
    earlier = [trial for trial in complete if trial.origin.startswith(STORED)]
    best_earlier = best(earlier)
    return [trial for trial in complete if trial not in earlier or trial is best_earlier]


def _baseline(prepared: Prepared, trial: Trial) -> dict[str, Any]:
    assert trial.evaluation is not None
    return {
        "name": trial.origin,
        "feasible": trial.feasible,
        "score": trial.score,
        **summary_of(trial, _values(prepared.problem.metrics(trial.evaluation))),
    }


def _retimed(delivery: Delivery, finisher: Finisher) -> dict[str, Any]:
    """The longer timings with their raw samples, and the cost that they make."""
    intervals = dict(delivery.retimed)
    if "cost" in delivery.metrics:
        intervals["cost"] = finisher.intervals(delivery.trial)["cost"]
    samples = {name: [list(taken) for taken in interval.samples_ms] for name, interval in intervals.items()}
    return {name: {**vars(interval), "samples_ms": samples[name]} for name, interval in intervals.items()}


def _intervals(delivery: Delivery, finisher: Finisher) -> dict[str, list[float]]:
    """Two-sided 95 % intervals of the delivered network: errors by their paired standard error, timings as retimed."""
    assert delivery.trial.evaluation is not None
    errors = {
        name: list(interval(name, m.value, m.sem))
        for name, m in delivery.trial.evaluation.metrics.items()
        if name in {"top1_error", "top5_error"} and m.sem is not None
    }
    timed = {
        name: finisher.intervals(delivery.trial)[name]
        for name in [*delivery.retimed, "cost"]
        if name in delivery.metrics
    }
    return errors | {name: [interval.low, interval.high] for name, interval in timed.items()}


def _certificate(delivery: Delivery, relative: bool) -> dict[str, Any]:
    content = delivery.certificate.to_json()
    attempts = [{**attempt, "trial": int(attempt["candidate"])} for attempt in content["attempts"]]
    return {
        **content,
        "attempts": attempts,
        "bounds": list(delivery.budgets),
        "relative": relative,
        "sha256": delivery.artifact.sha256,
    }


def _asked(prepared: Prepared) -> str:
    """What was asked, as a person says it."""
    objective = prepared.job.objective
    wish = getattr(objective, "wish", f"least {' and '.join(prepared.problem.objectives)}")
    bounds = " and ".join(map(_bound_text, prepared.problem.bounds))
    return f"{wish}, with {bounds}" if bounds else wish


def _bound_text(bound: Bound) -> str:
    sure = f" ({100 * bound.confidence:g} % sure on the search split)" if bound.confidence is not None else ""
    if bound.metric == "top1_error":
        return f"a top-1 accuracy of at least {shown('top1_error', 1 - bound.value)}{sure}"
    return f"{bound.metric} {bound.op} {shown(bound.metric, bound.value)}{sure}"


def _seconds(trials: Sequence[Trial]) -> dict[str, float]:
    """Seconds by stage over all trials; `other` is what no stage accounts for."""
    seconds = dict.fromkeys(STAGES, 0.0)
    for trial in trials:
        for stage, spent in (trial.evaluation.seconds if trial.evaluation is not None else {}).items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
    total = sum(trial.seconds for trial in trials)
    return {**seconds, "other": max(total - sum(seconds.values()), 0.0), "total": total}


def _values(metrics: Mapping[str, MetricValue]) -> dict[str, float]:
    return {name: value.value for name, value in metrics.items()}
