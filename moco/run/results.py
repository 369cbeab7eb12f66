"""The content of manifest.json and result.json (design: "Command line, run folder and Python")."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from moco import pareto
from moco.compression.space.network_space import space_summary
from moco.constraints import Bound
from moco.finalists.history import Finalist, files_of_finalists
from moco.guarded_objective import terms_of
from moco.metrics import COST, ERRORS, TOP1_ERROR, interval, shown
from moco.run.delivery import Delivery, Finisher
from moco.run.job import Prepared, versions
from moco.run.starts import as_records, baselines
from moco.run_folder import manifest as manifests
from moco.run_folder import result as results
from moco.run_folder.manifest import Manifest, SpaceRecord
from moco.run_folder.record import as_json
from moco.run_folder.result import Interval, Result, TrialsAndSeconds
from moco.run_folder.trial_record import Baseline, Delivered, TrialSummary
from moco.study import Budget, Start, Study
from moco.trial import Trial

STAGES = ("search", "compress", "recover", "calibrate", "export", "load", "score", "measure", "tracking", "record")


def manifest_of(prepared: Prepared, sessions: Sequence[str]) -> Manifest:
    """Versions, hardware, seeds, data and split hashes, and how to reproduce the search."""
    job, plan, problem = prepared.job, prepared.job.plan, prepared.problem
    reference = prepared.evaluator.reference.evaluation.metrics
    return Manifest(
        name=plan.name,
        created=sessions[0],
        sessions=tuple(sessions),
        fingerprint=job.fingerprint,
        reference={name: reference[name].value for name in prepared.evaluator.plan.timing},
        command=plan.recording.command,
        searcher=plan.search.strategies[0].searcher,
        seed=plan.seed,
        seeds={"run": plan.seed},
        versions=versions(job.distributions),
        hardware=job.target.describe(),
        data=_data(prepared),
        network=_network(prepared),
        problem=manifests.ProblemRecord(
            objectives=problem.objectives,
            bounds=tuple(f"{bound.metric} {bound.op} {bound.value:.6g}" for bound in problem.bounds),
        ),
        space=SpaceRecord.from_json(space_summary(prepared.space)),
        payoff=None if prepared.payoff is None else prepared.payoff.to_json(),
        starts=as_records(prepared.starts),
        config=dict(plan.recording.config),
    )


def result_of(
    prepared: Prepared,
    study: Study,
    delivery: Delivery | None,
    finisher: Finisher,
    space: SpaceRecord,
    warnings: Sequence[str],
) -> Result:
    """What the search found."""
    plan, problem, trials = prepared.job.plan, prepared.problem, finisher.trials
    reference_point = problem.loss_point(problem.reference_point) if problem.reference_point else None
    front = pareto.front(trials)
    losses = [trial.outcome.losses for trial in front if trial.outcome is not None]
    store = prepared.evaluator.store
    return Result(
        experiment=plan.name,
        network=prepared.job.network_name,
        description=prepared.job.description.to_json() or None,
        searcher=plan.search.strategies[0].searcher,
        seed=plan.seed,
        exit=_exit(delivery),
        stopped=(study.stop_requested and study.n_counted < plan.search.budget.trials) or None,
        objective=results.Objective(protocol=plan.objective.name, text=_asked(prepared)),
        objectives=tuple(problem.objectives),
        reference={name: m.value for name, m in problem.metrics(prepared.evaluator.reference.evaluation).items()},
        trials=len(trials),
        given=sum(trial.suggestion.given for trial in trials),
        distinct=study.n_distinct,
        feasible=sum(trial.feasible for trial in trials),
        budget=_budget(plan.search.budget),
        failure=None if delivery is not None else _failure(trials),
        best=None if delivery is None else _best(delivery),
        retimed={} if delivery is None else _retimed(delivery, finisher),
        intervals={} if delivery is None else _intervals(delivery, finisher),
        front=tuple(TrialSummary.of(t, problem.metrics(t.evaluation)) for t in front if t.evaluation is not None),
        hypervolume=results.HypervolumeRecord(
            value=None if reference_point is None else pareto.hypervolume(losses, reference_point),
            reference_point=reference_point,
        ),
        finalists=None if plan.finalists is None else tuple(map(_finalist, files_of_finalists(trials))),
        processor_s=None if study.clock is None else study.clock(),
        starts=tuple(_start(start, trials) for start in prepared.starts),
        baselines=tuple(_baseline(prepared, trial) for trial in baselines(trials)),
        certificate=None if delivery is None else _certificate(delivery, finisher),
        per_class=() if delivery is None else delivery.per_class,
        seconds=_seconds(trials),
        cache=results.CacheRecord(
            hits=(store.hits if store is not None else 0) + sum(not trial.distinct for trial in trials),
            misses=store.misses if store is not None else study.n_distinct,
        ),
        space=space,
        warnings=tuple(warnings),
    )


def _budget(budget: Budget) -> TrialsAndSeconds:
    limits = {"seconds": budget.seconds, "processor_seconds": budget.processor_seconds}
    return TrialsAndSeconds(trials=budget.trials, **limits)


def _finalist(found: Finalist) -> results.FinalistRecord:
    failed = found.trial.evaluation is None
    return results.FinalistRecord(
        trial=found.trial.number,
        of=found.of,
        round=found.round,
        steps=found.steps,
        processor_s=None if failed else found.processor_s,
        bits_of=found.bits_of,
    )


def _exit(delivery: Delivery | None) -> str:
    """How the search ended; where the floor holds on unseen images, what the search split said of it is overruled."""
    if delivery is not None and delivery.certificate.floor is not None and delivery.holds:
        return results.DONE
    if delivery is None or not delivery.trial.feasible:
        return results.INFEASIBLE
    return results.DONE if delivery.certificate.floor is None else results.UNCERTIFIED


def _failure(trials: Sequence[Trial]) -> str | None:
    """Why most of the trials failed, or were rejected, where not one is complete; None where there is no trial."""
    reasons = Counter(trial.reason for trial in trials if trial.reason)
    if not reasons:
        return None
    reason, count = reasons.most_common(1)[0]
    return reason if count == len(trials) else f"{reason} ({count} of {len(trials)} trials)"


def _data(prepared: Prepared) -> manifests.DataRecord:
    data, sizes, hashes = prepared.job.data, prepared.job.data.splits.sizes, prepared.job.data.splits.hashes
    return manifests.DataRecord(
        hash={"train": data.train.content_hash, "test": data.test.content_hash},
        splits={name: manifests.SplitRecord(images=sizes[name], hash=hashes[name]) for name in hashes},
        description=prepared.job.description.to_json() or None,
    )


def _network(prepared: Prepared) -> manifests.NetworkRecord:
    job, compressor = prepared.job, prepared.evaluator.builder.compressor
    group_of = {layer: group.name for group in compressor.graph.groups.values() for layer in group.producers}
    layers = tuple(
        manifests.LayerRecord(
            name=layer.name,
            group=group_of.get(layer.name),
            kind=layer.kind,
            out_channels=layer.out_channels,
            macs=layer.macs,
            parameters=layer.parameters,
        )
        for layer in compressor.counts.layers
    )
    return manifests.NetworkRecord(name=job.network_name, input_shape=tuple(job.data.train.shape), layers=layers)


def timing_warnings(trials: Sequence[Trial]) -> list[str]:
    """A line where timings of the search gave warnings: how many, and the most frequent reason."""
    found = [trial.evaluation.details.get("warnings", []) for trial in trials if trial.evaluation is not None]
    warned = [texts for texts in found if texts]
    if not warned:
        return []
    by_kind: dict[str, list[str]] = {}
    for text in (text for texts in warned for text in texts):
        by_kind.setdefault(re.sub(r"[\d.]+", "", text), []).append(text)
    example = max(by_kind.values(), key=len)[0]
    return [f"{len(warned)} of {len(trials)} trials were timed with a warning, most often: {example}"]


def _best(delivery: Delivery) -> Delivered:
    trial = delivery.trial
    certified = delivery.certificate.floor is not None and delivery.holds
    of_trial = {"score": trial.score, "feasible": trial.feasible or certified, "origin": trial.origin}
    of_trial["network"] = trial.suggestion.sibling
    return Delivered.of(trial, delivery.metrics, **of_trial, holds=delivery.holds, sha256=delivery.artifact.sha256)


def _start(start: Start, trials: Sequence[Trial]) -> results.StartRecord:
    trial = next((trial for trial in trials if trial.origin == start.name), None)
    return results.StartRecord(name=start.name, counted=not start.given, trial=None if trial is None else trial.number)


def _baseline(prepared: Prepared, trial: Trial) -> Baseline:
    assert trial.evaluation is not None
    metrics = prepared.problem.metrics(trial.evaluation)
    return Baseline.of(trial, metrics, name=trial.origin, feasible=trial.feasible, score=trial.score)


def _retimed(delivery: Delivery, finisher: Finisher) -> dict[str, Interval]:
    """The longer timings with their raw samples, and the cost that they make."""
    cost = {COST: finisher.timing.intervals(delivery.trial)[COST]} if COST in delivery.metrics else {}
    return {**delivery.retimed, **cost}


def _intervals(delivery: Delivery, finisher: Finisher) -> dict[str, tuple[float, ...]]:
    """Two-sided 95 % intervals of the delivered network: errors by their paired standard error, timings as retimed."""
    assert delivery.trial.evaluation is not None
    errors: dict[str, tuple[float, ...]] = {
        name: interval(name, m.value, m.sem)
        for name, m in delivery.trial.evaluation.metrics.items()
        if name in ERRORS and m.sem is not None
    }
    timed = finisher.timing.intervals(delivery.trial)
    names = [name for name in (*delivery.retimed, COST) if name in delivery.metrics]
    return errors | {name: (timed[name].low, timed[name].high) for name in names}


def _certificate(delivery: Delivery, finisher: Finisher) -> results.CertificateRecord:
    relative = finisher.floor is None or finisher.floor.relative
    attempts = [{**vars(attempt), "trial": int(attempt.candidate)} for attempt in delivery.certificate.attempts]
    more = {"attempts": attempts, "bounds": as_json(delivery.bounds), "relative": relative}
    content = {**delivery.certificate.to_json(), **more, "sha256": delivery.artifact.sha256}
    return results.CertificateRecord.from_json(content)


def _asked(prepared: Prepared) -> str:
    wish = terms_of(prepared.job.objective).wish or f"least {' and '.join(prepared.problem.objectives)}"
    bounds = " and ".join(map(_bound_text, prepared.problem.bounds))
    return f"{wish}, with {bounds}" if bounds else wish


def _bound_text(bound: Bound) -> str:
    sure = f" ({100 * bound.confidence:g} % sure on the search split)" if bound.confidence is not None else ""
    if bound.metric == TOP1_ERROR and bound.value >= 1:
        return "any top-1 accuracy"
    if bound.metric == TOP1_ERROR:
        return f"a top-1 accuracy of at least {shown(TOP1_ERROR, 1 - bound.value)}{sure}"
    return f"{bound.metric} {bound.op} {shown(bound.metric, bound.value)}{sure}"


def _seconds(trials: Sequence[Trial]) -> dict[str, float]:
    """Seconds by stage over all trials; `other` is what no stage accounts for."""
    seconds = dict.fromkeys(STAGES, 0.0)
    for trial in trials:
        for stage, spent in (trial.evaluation.seconds if trial.evaluation is not None else {}).items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
    total = sum(trial.seconds for trial in trials)
    return {**seconds, "other": max(total - sum(seconds.values()), 0.0), "total": total}
