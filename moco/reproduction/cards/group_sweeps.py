"""E2: searches over one sparsity a layer group for latency, for top-1 and for both (S2.14), as S2 planned them.

S2 prints no number. It prunes the first convolution of a block by L1, one sparsity a group (S2.03, S2.04), its first
proposals are random (S2.11), and nothing holds the accuracy in the sweep for latency. Here each target has random
first proposals of its own, which all of its searchers start from, and as many evaluations in all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from moco.encoding import decode
from moco.pareto import hypervolume
from moco.randomness import generator
from moco.reproduction.card import Card, Scale
from moco.reproduction.cards.rows import accuracies, complete, ratios, row_of, with_reading
from moco.reproduction.cards.sweep_evidence import (
    MODELS,
    Sweep,
    accuracy_of,
    dead_and_alive,
    latency_of,
    lowest_latencies,
)
from moco.reproduction.cards.width_sweeps import width_sweeps
from moco.reproduction.lab import Lab, opened
from moco.reproduction.raw import RawRow, Reading
from moco.reproduction.setting import Drawn, Setting
from moco.reproduction.subjects import DIGITS, RESNET20, RESNET56, Subject
from moco.trial import Point, Trial
from moco.trial_rank import best

COLUMNS = (
    *("latency_ratio", "operators_ms", "throughput_ratio", "size_ratio", "search_top1_error", "top1_change_pp"),
    *("retrained_change_pp", "best_score", "hypervolume"),
)
TRAINED = "retrained_change_pp"
MEASURED = {"top1_error": "minimize", "latency_ms": "minimize", "throughput_ips": "maximize"}
TARGETS: Mapping[str, Mapping[str, Any]] = {
    "latency": {"protocol": "front", "objectives": {"latency_ms": "minimize"}},
    "top-1": {"protocol": "front", "objectives": {"top1_error": "minimize"}},
    "hybrid": {"protocol": "hybrid", "target": "0.8x", "penalty": 1.0},
}
"""The three experiments; the hybrid's target is ours, as in experiments/s2."""
GROUPS: Mapping[str, Any] = {
    DIGITS.name: "per-layer",  # four convolutions come first in a block: these are the groups
    RESNET20.name: {
        "g1": ["layer1.*.conv1"],
        "g2": ["layer2.[12].conv1"],
        "g3.1": ["layer3.1.conv1"],
        "g3.2": ["layer3.2.conv1"],
    },
    RESNET56.name: {
        "g1": ["layer1.*.conv1"],
        "g2": ["layer2.[1-4].conv1", "layer2.[67].conv1"],
        "g3.1": ["layer3.1.conv1"],
        "g3.2": ["layer3.[2-3].conv1", "layer3.[5-8].conv1"],
    },
}
PRUNING = {"keep": [0.01, 0.99], "rank": "l1", "coupled": False}
FIRST = 8
"""Random proposals that a sweep begins with."""
LAST_SEED = 2
"""Seed that takes ResNet-20 too at the small scale."""
TUNING = {"epochs": 3.0, "learning_rate": 0.02, "batch_size": 64}
CALLS = 20
ANEW = "batch_norm"
STORE = "sweeps.sqlite"


def group_sweeps(setting: Setting) -> Drawn:
    """A seed of E2."""
    rows: list[RawRow] = []
    evidence: dict[str, list[dict[str, Any]]] = {"Q14": [], "Q15": [], "Q16": []}
    facts, hardware = {}, ""
    for subject in _subjects(setting):
        space = {"groups": GROUPS[subject.name], "channel_multiple": 1, "filter_pruning": PRUNING}
        asked = {"protocol": "front", "objectives": MEASURED}
        store = setting.folder / STORE
        with opened(subject, setting, space, recovery=(ANEW,), objective=asked, store=store) as lab:
            facts[subject.name], hardware = lab.facts, lab.hardware
            sweeps = _swept(lab)
            found = [_row(lab, sweep) for sweep in sweeps]
            evidence["Q14"].append(dead_and_alive(lab, sweeps))
            evidence["Q16"] += lowest_latencies(lab, sweeps)
            evidence["Q15"] += width_sweeps(lab)
        rows += _retrained(subject, setting, space, found)
    told = (
        f"every sweep of a target begins with the same {FIRST} random networks; batch-norm statistics are made anew",
        "nothing is trained while a sweep runs: retrained_change_pp is of the network it chose, trained after it",
        "operators_ms is the sum of the runtime's own times by operator",
    )
    return Drawn(tuple(rows), evidence, facts, hardware, notes=told)


def _subjects(setting: Setting) -> tuple[Subject, ...]:
    """At the small scale one of the seeds takes ResNet-20 too, which is minutes."""
    if setting.full:
        return (DIGITS, RESNET20, RESNET56)
    return (DIGITS, RESNET20) if setting.seed == LAST_SEED else (DIGITS,)


def _evaluations(setting: Setting, subject: Subject) -> int:
    return 100 if setting.full else 24 if subject is DIGITS else 16


def _swept(lab: Lab) -> list[Sweep]:
    """Every target by every searcher, after as many evaluations each; what was evaluated before is not again."""
    count = _evaluations(lab.setting, lab.subject)
    searchers: list[dict[str, Any]] = [{"name": "random"}]
    searchers += [{"name": name, "startup": FIRST, "optimise": "score"} for name in MODELS]
    found = []
    for target, objective in TARGETS.items():
        points = _first_points(lab, target)
        for searcher in searchers:
            lab.setting.tell(f"{lab.subject.name}: {target} by {searcher['name']}")
            trials = lab.search(searcher, count, points=points, objective=objective)
            found.append(Sweep(target, str(searcher["name"]), complete(trials)))
    return found


def _first_points(lab: Lab, target: str) -> list[Point]:
    space = lab.prepared.space
    drawn = generator(lab.setting.seed, "first proposals", target)
    return [decode(space, drawn.random(len(space.distributions))) for _ in range(FIRST)]


def _row(lab: Lab, sweep: Sweep) -> tuple[RawRow, Point]:
    """The network that a sweep has chosen, and its point."""
    chosen = best(sweep.trials)
    assert chosen is not None
    assert chosen.policy is not None
    assert chosen.evaluation is not None
    found = {name: Reading.of(name, metric) for name, metric in chosen.evaluation.metrics.items()}
    losses = [(1 - accuracy_of(trial), latency_of(lab, trial)) for trial in sweep.trials]
    values = {
        **ratios(lab, found),
        **accuracies(lab, chosen.policy),
        "search_top1_error": found["top1_error"],
        "operators_ms": Reading(value=_operators_ms(lab, chosen)),
        "best_score": Reading(value=float(chosen.score or 0.0)),
        "hypervolume": Reading(value=hypervolume(losses, [1.0, 1.0])),
    }
    told = {"action": "filter pruning", "searcher": sweep.searcher, "protocol": sweep.target}
    name, budget = f"{sweep.target}, {sweep.searcher}", f"{len(sweep.trials)} evaluations"
    return row_of(lab, name, values, COLUMNS, budget=budget, **told), chosen.point


def _operators_ms(lab: Lab, trial: Trial) -> float:
    """The sum of the medians by operator, as the runtime itself times them, one image a call."""
    assert trial.policy is not None
    artifact, _ = lab.prepared.evaluator.builder.build(trial.policy)
    times = lab.prepared.job.target.layer_times(artifact, 1, CALLS)  # type: ignore[attr-defined]
    return float(f"{sum(one.time_ms for one in times):.6g}")


def _retrained(
    subject: Subject, setting: Setting, space: Mapping[str, Any], chosen: Sequence[tuple[RawRow, Point]]
) -> list[RawRow]:
    """The rows with what a short training changes; at the small scale only of the network that is small itself."""
    if not setting.full and subject is not DIGITS:
        why = {TRAINED: "trained at the full scale alone"}
        return [replace(row, absent={**row.absent, **why}) for row, _ in chosen]
    steps = [ANEW, {"fine_tuning": dict(TUNING)}]
    with opened(subject, setting, space, recovery=steps, store=setting.folder / STORE) as lab:
        changes = [accuracies(lab, lab.policy(point))["top1_change_pp"] for _, point in chosen]
    return [with_reading(row, TRAINED, change) for (row, _), change in zip(chosen, changes, strict=True)]


CARD = Card(
    id="E2",
    title="Bayesian search over four sparsities for latency, top-1 and both",
    system="S2",
    columns=COLUMNS,
    runner=group_sweeps,
    findings=("Q14", "Q15", "Q16"),
    seeds={Scale.SMALL: 5, Scale.FULL: 5},
    minutes={Scale.SMALL: 15, Scale.FULL: 720},
    files=frozenset({Scale.SMALL, Scale.FULL}),
)
