"""T1.AG and T1.RC: the thesis's searches under both protocols, and what its findings about them are judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from moco.policy import Policy
from moco.reproduction.cards.actions import ACTIONS, CP, FP, TD, Action, published_agent
from moco.reproduction.cards.pair_pruning import pair_only_sizes
from moco.reproduction.cards.ranking_and_refit import paired_policies
from moco.reproduction.cards.rivals import rivals
from moco.reproduction.cards.rows import TWELVE, complete, described, fresh_gap, with_values
from moco.reproduction.cards.tucker_counts import mobilenet_counts, tucker_at_budget
from moco.reproduction.lab import Lab, opened
from moco.reproduction.raw import RawRow
from moco.reproduction.setting import Drawn, Setting
from moco.reproduction.subjects import DIGITS, RESNET20, RESNET56, Subject
from moco.trial_rank import best

COLUMNS = (
    *("reward", "top1_error", "top1_change_pp", "search_top1_error", "latency_ratio", "size_ratio", "macs"),
    *(name for name in TWELVE if name != "top1_error"),
)
LAST_SEED = 2
AG = {"protocol": "accuracy-guaranteed", "floor": "-10 pp"}
RC = {"protocol": "resource-constrained", "constraints": {"size_mb": "<= 0.8x", "latency_ms": "<= 0.8x"}}


@dataclass(frozen=True)
class Protocol:
    """One of the two (S1.20, S1.23), with the lowest share that an action may keep (S1.33)."""

    name: str
    objective: Mapping[str, Any]
    lowest: float


GUARANTEED, CONSTRAINED = Protocol("accuracy-guaranteed", AG, 0.3), Protocol("resource-constrained", RC, 0.02)


@dataclass
class _Found:
    """What the searches of a seed give, filled while they run."""

    rows: list[RawRow] = field(default_factory=list)
    gaps: dict[str, dict[str, float]] = field(default_factory=dict)  # by network and action
    first_answers: list[dict[str, Any]] = field(default_factory=list)
    rivals: list[dict[str, Any]] = field(default_factory=list)


def guaranteed(setting: Setting) -> Drawn:
    """A seed of T1.AG."""
    found, facts, hardware = _searched(setting, GUARANTEED)
    evidence = {
        "Q01": [paired_policies(subject, setting) for subject in _subjects(setting)],
        "Q02": [{"network": name, **gaps} for name, gaps in found.gaps.items()],
        "Q18": found.first_answers,
        "Q21": found.rivals,
    }
    return Drawn(tuple(found.rows), evidence, facts, hardware)


def constrained(setting: Setting) -> Drawn:
    """A seed of T1.RC; what is counted exactly is counted by the first seed alone."""
    found, facts, hardware = _searched(setting, CONSTRAINED)
    evidence: dict[str, Any] = {
        "Q04": [tucker_at_budget(subject, setting) for subject in _subjects(setting)],
        "Q18": found.first_answers,
        "Q21": found.rivals,
    }
    if setting.seed == 0:
        evidence |= {"Q03": mobilenet_counts(setting), "Q05": pair_only_sizes(setting)}
    return Drawn(tuple(found.rows), evidence, facts, hardware)


def _subjects(setting: Setting) -> tuple[Subject, ...]:
    """At the small scale the last of the usual seeds takes ResNet-20 too, which is minutes."""
    if setting.full:
        return (DIGITS, RESNET20, RESNET56)
    return (DIGITS, RESNET20) if setting.seed == LAST_SEED else (DIGITS,)


def _episodes(setting: Setting, subject: Subject) -> int:
    return 200 if setting.full else 24 if subject is DIGITS else 12


def _searched(setting: Setting, protocol: Protocol) -> tuple[_Found, dict[str, Any], str]:
    found, facts, hardware = _Found(), {}, ""
    for subject in _subjects(setting):
        for action in ACTIONS:
            space = action.space(protocol.lowest)
            with opened(subject, setting, space, recovery=action.recovery, objective=protocol.objective) as lab:
                facts[subject.name], hardware = lab.facts, lab.hardware
                _search(lab, action, protocol, found)
    return found, facts, hardware


def _search(lab: Lab, action: Action, protocol: Protocol, found: _Found) -> None:
    episodes = _episodes(lab.setting, lab.subject)
    if action is CP:
        reward = lab.prepared.job.objective.score(lab.prepared.evaluator.reference.evaluation, _reference(lab))
        row = described(lab, "Ref", None, COLUMNS, protocol=protocol.name)
        found.rows.append(with_values(row, COLUMNS, reward=float(reward)))
    trials = lab.search(published_agent(lab.setting, episodes), episodes)
    chosen = best(trials)
    assert chosen is not None
    assert chosen.policy is not None
    searcher = f"DDPG, {max(episodes // 4, 1)} + {episodes - max(episodes // 4, 1)} episodes"
    told = {"action": action.name, "searcher": searcher, "protocol": protocol.name, "budget": f"{episodes} episodes"}
    row = described(lab, action.name, chosen.policy, COLUMNS, **told)
    found.rows.append(with_values(row, COLUMNS, reward=chosen.score))
    if row.values["size_mb"].value < lab.reference["size_mb"]:
        found.first_answers.append(_first_answer(lab, action, chosen.policy))
    if action in {CP, FP}:
        ranked = sorted(complete(trials), key=lambda trial: (trial.feasible, trial.score or 0.0), reverse=True)
        gaps = [fresh_gap(lab, trial) for trial in ranked[:3]]
        found.gaps.setdefault(lab.subject.name, {})[action.name] = float(np.mean(gaps))
    if action is not TD and (lab.setting.full or lab.subject is DIGITS):
        found.rivals.append(rivals(lab, trials, action=action.name, protocol=protocol.name))


def _reference(lab: Lab) -> Any:
    return lab.prepared.evaluator.reference.evaluation.metrics


def _first_answer(lab: Lab, action: Action, policy: Policy) -> dict[str, Any]:
    """The time to the first answer against the reference's, each file opened many times in turn."""
    one = lab.profile(policy)["init_s"]
    reference = lab.reference["init_s"]
    assert one.low is not None
    assert one.high is not None
    ends = {"ratio": one.value / reference, "low": one.low / reference, "high": one.high / reference}
    return {"network": lab.subject.name, "action": action.name, **ends}
