"""From a sweep and a schedule to the sections of an experiment: groups, methods, limits, searcher, objective, recovery.

A parameter of a sweep is called PRUNER_desired_sparsity or PRUNER_group_type; what a sweep leaves out stays as the
schedule has it. A sparsity s becomes the ratio 1 - s that is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moco.errors import ConfigError, nearest
from moco.sweep import vocabulary as words
from moco.sweep.schedule import LRScheduler, Pruner, Schedule, When
from moco.sweep.sweep_file import Metric, Range, Sweep

SPARSITY, GROUP_TYPE = "desired_sparsity", "group_type"
USUAL_RATE = 0.1
"""Of the public run of the dissertation's schedule (S2.06): no schedule names the rate that its decay begins with."""
DIGITS = 12  # 1 - 0.99 is 0.01


@dataclass(frozen=True)
class Searched:
    """What is searched of one pruner: the ratios that its layers keep, and its group types."""

    pruner: Pruner
    low: float
    high: float
    values: tuple[float, ...] | None  # of the ratio, where there are single ones
    types: tuple[str, ...]


def experiment_sections(
    sweep: Sweep, schedule: Schedule, base: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The sections that both files come to with those of the base, which says all else; and notes on what was decided.

    A ConfigError names a parameter that is no pruner's, a metric that moco has not, or a range that a grid cannot take.
    """
    found = _searched(sweep, schedule)
    recovery, notes = _recovery(schedule, base.get("recovery"))
    made = {
        **{name: value for name, value in base.items() if name not in {"name", "compare"}},
        "space": _space(found, schedule),
        "objective": _objective(sweep.metric),
        "searcher": {"name": words.SEARCHERS[sweep.method], "start": "none"},
        "budget": _budget(sweep, base.get("budget")),
        **({} if recovery is None else {"recovery": recovery}),
    }
    program = [] if sweep.program is None else [f"program: '{sweep.program}' is not run: moco is the pipeline"]
    left = [name for name in found if f"{name}_{SPARSITY}" not in sweep.parameters]
    fixed = [f"{name}: sparsity {1 - found[name].high:g}, as the schedule has it: the sweep leaves it" for name in left]
    removal = "what is pruned is removed from the network for good, as a schedule implies"
    return made, (*program, *fixed, removal, *notes)


def fixed_schedule(sweep: Sweep, schedule: Schedule) -> Schedule:
    """The schedule with the values that the sweep gives and does not search; a ConfigError as `experiment_sections`."""
    pruners = {}
    for name, one in _searched(sweep, schedule).items():
        update: dict[str, Any] = {}
        if one.low == one.high:
            update["desired_sparsity"] = round(1 - one.high, DIGITS)
        if len(one.types) == 1:
            update["group_type"] = one.types[0]
        pruners[name] = one.pruner.model_copy(update=update)
    return schedule.model_copy(update={"pruners": pruners})


def _searched(sweep: Sweep, schedule: Schedule) -> dict[str, Searched]:
    known = [f"{name}_{kind}" for name in schedule.pruners for kind in (SPARSITY, GROUP_TYPE)]
    for name, given in sweep.parameters.items():
        if name not in known:
            raise ConfigError(f"sweep: parameters.{name}: no parameter of the schedule{nearest(name, known)}")
        if sweep.method == "grid" and given.choices is None:
            raise ConfigError(f"sweep: parameters.{name}: a grid takes values, got min {given.min} and max {given.max}")
    found = {name: _of(name, pruner, sweep.parameters) for name, pruner in schedule.pruners.items()}
    if all(one.low == one.high and len(one.types) == 1 for one in found.values()):
        raise ConfigError(
            "sweep: parameters: expected one with more than one value, got none: there is nothing to search"
        )
    return found


def _of(name: str, pruner: Pruner, parameters: Mapping[str, Range]) -> Searched:
    where = f"sweep: parameters.{name}_"
    sparsity = parameters.get(f"{name}_{SPARSITY}", Range(value=pruner.desired_sparsity))
    asked = sparsity.choices or (sparsity.min, sparsity.max)
    for value in asked:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1:
            raise ConfigError(f"{where}{SPARSITY}: expected sparsities from 0 on and below 1, got {value!r}")
    kept = tuple(sorted({round(1 - float(value), DIGITS) for value in asked}))  # type: ignore[arg-type]
    types = parameters.get(f"{name}_{GROUP_TYPE}", Range(value=pruner.group_type)).choices
    if types is None:
        raise ConfigError(f"{where}{GROUP_TYPE}: expected values, some of {', '.join(words.METHODS)}")
    for one in types:
        if one not in words.METHODS:
            raise ConfigError(
                f"{where}{GROUP_TYPE}: expected one of its values, got {one!r}{nearest(str(one), words.METHODS)}"
            )
    return Searched(
        pruner, kept[0], kept[-1], kept if sparsity.choices else None, tuple(dict.fromkeys(map(str, types)))
    )


def _space(found: Mapping[str, Searched], schedule: Schedule) -> dict[str, Any]:
    ends = [min(one.low for one in found.values()), max(one.high for one in found.values())]
    used = [kind for kind in words.METHODS if any(kind in one.types for one in found.values())]
    methods: dict[str, dict[str, Any]] = {words.METHODS[kind]: {"keep": list(ends)} for kind in used}
    if (ranking := _ranking(found)) is not None:
        methods[words.METHODS[words.FILTERS]]["rank"] = ranking
    limits = dict(_limits(found, ends, choose=len(used) > 1))
    return {
        "channel_multiple": 1,
        "groups": {name: list(layers) for name, layers in schedule.layers().items()},
        **({"choose": True} if len(used) > 1 else {}),
        **methods,
        **({"limits": limits} if limits else {}),
    }


def _ranking(found: Mapping[str, Searched]) -> str | None:
    """The one ranking of filters that a space has; None where nothing is pruned by filters."""
    ranked = {one.pruner.kind: name for name, one in found.items() if words.FILTERS in one.types}
    for name, one in found.items():
        if words.CHANNELS in one.types and one.pruner.kind != words.BY_L1:
            raise ConfigError(
                f"schedule: pruners.{name}: {words.CHANNELS} are ranked by {words.BY_L1} only, got {one.pruner.kind}"
            )
    if len(ranked) > 1:
        raise ConfigError(
            f"schedule: pruners: expected one class of all that prune filters, got {' and '.join(ranked)}"
        )
    return words.RANKINGS[next(iter(ranked))] if ranked else None


def _limits(found: Mapping[str, Searched], ends: list[float], *, choose: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the groups do not share."""
    for name, one in found.items():
        if one.values is not None:
            yield f"{name}.keep", {"values": list(one.values)}
        elif [one.low, one.high] != ends:
            yield f"{name}.keep", {"min": one.low, "max": one.high}
        if choose:
            yield f"{name}.method", {"values": [words.METHODS[kind] for kind in one.types]}


def _objective(metric: Metric) -> dict[str, Any]:
    asked = metric.name.strip().lower().replace(" ", "_").replace("-", "_")
    target = words.TARGETS.get(asked)
    if target is None:
        raise ConfigError(f"sweep: metric.name: unknown metric '{metric.name}'{nearest(asked, words.TARGETS)}")
    if metric.goal != target.goal:
        raise ConfigError(f"sweep: metric.goal: expected {target.goal} of {metric.name}, got {metric.goal}")
    if target.metric is None:
        return {"protocol": words.HYBRID}
    return {"protocol": words.FRONT, "objectives": {target.metric: target.direction}}


def _budget(sweep: Sweep, base: Any) -> dict[str, Any]:
    """The base's, with the trials of the sweep: of a grid all, `run_cap` at most."""
    budget = dict(base or {})
    if sweep.method == "grid":
        budget["trials"] = math.prod(len(set(given.choices or ())) for given in sweep.parameters.values())
    if sweep.run_cap is not None:
        budget["trials"] = min(sweep.run_cap, budget["trials"]) if sweep.method == "grid" else sweep.run_cap
    return budget


def _recovery(schedule: Schedule, base: Any) -> tuple[list[Any] | None, tuple[str, ...]]:
    """The steps; None for the base's."""
    decay = schedule.decay
    if decay is None:
        return None, (
            "the schedule has no decay of the learning rate, so nothing says how long to train: recovery as usual",
        )
    own = _training_of(base)
    options = {"learning_rate": USUAL_RATE, **own, **_course(*decay)}
    told = (
        "" if "learning_rate" in own else f", the learning rate from {USUAL_RATE:g}, of which the schedule says nothing"
    )
    note = f"every candidate trains {options['epochs']} epochs on all training images{told}"
    return [{words.TRAINING: options}], (note,)


def _course(scheduler: LRScheduler, when: When) -> dict[str, Any]:
    """Epochs and decay: the factor is applied after each epoch, or every so many, from one epoch on to the last."""
    every = when.frequency or 1
    decay = {"schedule": "exponential"} if every == 1 else {"schedule": "step", "step_epochs": every}
    return {"epochs": when.ending_epoch, **decay, "gamma": scheduler.gamma, "hold_epochs": when.starting_epoch}


def _training_of(base: Any) -> dict[str, Any]:
    """Options of the base's own training, such as its learning rate and how images are moved."""
    steps = base if isinstance(base, list) else []
    return next((dict(step[words.TRAINING]) for step in steps if isinstance(step, dict) and words.TRAINING in step), {})
