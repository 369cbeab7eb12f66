"""F1.STATE: the thesis's agent with and without direct metrics in its state, on the same evaluations (Q19).

The thesis left latency, throughput and energy out of the state, as they slowed convergence (S1.31), and shows no run.
Both agents begin with the same warm-up. The reward is accuracy less what the latency misses its target of, which has
no step: with a flat -50 a mean reward would count missed bounds and little else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from moco.reproduction.card import Card, Scale
from moco.reproduction.cards.actions import CP, published_agent
from moco.reproduction.cards.rows import complete, row_of
from moco.reproduction.lab import Lab, opened
from moco.reproduction.raw import RawRow, Reading
from moco.reproduction.setting import Drawn, Setting
from moco.reproduction.subjects import DIGITS, RESNET20

COLUMNS = ("reward_mean", "reward_last_fifth", "reward_best", "episodes_to_best")
REWARD = {"protocol": "hybrid", "target": "0.8x", "penalty": 1.0}
LOWEST = 0.1
STATES: Mapping[str, Mapping[str, Any]] = {"without": {}, "with": {"direct": True}}
STORE = "states.sqlite"


def state_ablation(setting: Setting) -> Drawn:
    """A seed of F1.STATE: one run with each state."""
    rows: list[RawRow] = []
    evidence: list[dict[str, Any]] = []
    facts, hardware = {}, ""
    episodes = setting.of(48, 200)
    for subject in (DIGITS, RESNET20) if setting.full else (DIGITS,):
        store = setting.folder / STORE
        space = CP.space(LOWEST)
        with opened(subject, setting, space, recovery=CP.recovery, objective=REWARD, store=store) as lab:
            facts[subject.name], hardware = lab.facts, lab.hardware
            curves = {name: _curve(lab, name, episodes) for name in STATES}
            rows += [_row(lab, name, curve, episodes) for name, curve in curves.items()]
        means = {name: _learned(curve, episodes) for name, curve in curves.items()}
        evidence.append({"network": subject.name, **means, "curves": curves})
    told = "reward_mean is that of the episodes after the warm-up: larger where learning is faster"
    return Drawn(tuple(rows), {"Q19": evidence}, facts, hardware, notes=(told,))


def _curve(lab: Lab, name: str, episodes: int) -> list[float]:
    """The reward of every episode whose network could be built."""
    lab.setting.tell(f"{lab.subject.name}: {name} direct metrics, {episodes} episodes")
    agent = published_agent(lab.setting, episodes, **{"reward": "score", **STATES[name]})
    trials = complete(lab.search(agent, episodes))
    return [float(f"{trial.score:.6g}") for trial in trials if trial.score is not None]


def _learned(curve: Sequence[float], episodes: int) -> float:
    """The mean reward after the warm-up."""
    return float(f"{np.mean(curve[episodes // 4 :]):.6g}")


def _row(lab: Lab, name: str, curve: Sequence[float], episodes: int) -> RawRow:
    values = {
        "reward_mean": _learned(curve, episodes),
        "reward_last_fifth": float(np.mean(curve[-(episodes // 5) :])),
        "reward_best": max(curve),
        "episodes_to_best": float(np.argmax(curve) + 1),
    }
    readings = {column: Reading(value=float(f"{value:.6g}")) for column, value in values.items()}
    told = {"action": CP.name, "searcher": "ddpg", "protocol": "hybrid", "budget": f"{episodes} episodes"}
    return row_of(lab, f"{name} direct metrics", readings, COLUMNS, **told)


CARD = Card(
    id="F1.STATE",
    title="The agent's learning with and without direct metrics in its state",
    system="S1",
    columns=COLUMNS,
    runner=state_ablation,
    findings=("Q19",),
    seeds={Scale.SMALL: 6, Scale.FULL: 6},
    minutes={Scale.SMALL: 5, Scale.FULL: 240},
    files=frozenset({Scale.FULL}),
)
