"""F5.2: rewards by episode of DDPG, of PPO and of the published PPO with Q-values, on real evaluations (Q13).

All three see the published 8 features and earn the published reward r1, as it is: what differs is the agent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from moco.reproduction.card import Card, Scale
from moco.reproduction.cards.rows import complete
from moco.reproduction.lab import Lab, opened
from moco.reproduction.raw import RawRow, Reading
from moco.reproduction.setting import Drawn, Setting
from moco.reproduction.subjects import DIGITS, RESNET20

PARTS = 5
COLUMNS = ("reward_mean", "reward_sd", "reward_final", "reward_best", *(f"reward_part_{n + 1}" for n in range(PARTS)))
SPACE = {"groups": "per-layer", "channel_multiple": 1, "filter_pruning": {"keep": [0.3, 1.0], "rank": "l1"}}
RECOVERY = ("batch_norm",)
REWARD = {"protocol": "two-stage", "reward": "r1", "metric": "flops"}
FINAL = 5
"""Episodes that the final reward is a mean of."""
STORE = "rewards.sqlite"


def agents(episodes: int) -> Mapping[str, Mapping[str, Any]]:
    """The agents: DDPG as S1 and AMC have it, moco's PPO, and S5's as published (S5.05, S5.06)."""
    alike = {"features": "s5", "reward": "score", "bounds": "none"}
    ddpg = {"hidden": [400, 300], "warmup": max(episodes // 4, 1), "noise_decay": 0.95, "saturation": 0.0}
    rates = {"actor_rate": 1.0e-4, "critic_rate": 1.0e-3}
    slow = {"rate": 1.0e-3, "critic_rate": 1.0e-3, "hidden": [64]}
    return {
        "ddpg": {"name": "ddpg", **alike, **ddpg, **rates},
        "ppo": {"name": "ppo", **alike},
        "ppo_q": {"name": "ppo_q", **alike, **slow, "baseline": "none"},
    }


def rewards(setting: Setting) -> Drawn:
    """A seed of F5.2: one run of each agent on each network, with equal episodes."""
    rows: list[RawRow] = []
    evidence: list[dict[str, Any]] = []
    facts, hardware = {}, ""
    for subject in (DIGITS, RESNET20) if setting.full else (DIGITS,):
        store = setting.folder / STORE
        with opened(subject, setting, SPACE, recovery=RECOVERY, objective=REWARD, store=store) as lab:
            facts[subject.name], hardware = lab.facts, lab.hardware
            episodes = setting.of(60, 400)
            curves = {name: _curve(lab, agent, episodes) for name, agent in agents(episodes).items()}
        rows += [_row(subject.name, name, curve, episodes) for name, curve in curves.items()]
        last = {name: curve[-(len(curve) // PARTS) :] for name, curve in curves.items()}
        evidence.append({"network": subject.name, **last, "curves": curves})
    told = (
        f"rewards of the last fifth of the episodes, over which mean and sd are; final is the mean of the last {FINAL}"
    )
    return Drawn(tuple(rows), {"Q13": evidence}, facts, hardware, notes=(told,))


def _curve(lab: Lab, agent: Mapping[str, Any], episodes: int) -> list[float]:
    """The reward of every episode whose network could be built."""
    lab.setting.tell(f"{lab.subject.name}: {agent['name']}, {episodes} episodes")
    trials = complete(lab.search(agent, episodes, timed=False))
    return [float(f"{trial.score:.6g}") for trial in trials if trial.score is not None]


def _row(network: str, name: str, curve: Sequence[float], episodes: int) -> RawRow:
    parts = np.array_split(np.asarray(curve), PARTS)
    values = {
        "reward_mean": float(np.mean(parts[-1])),
        "reward_sd": float(np.std(parts[-1], ddof=1)),
        "reward_final": float(np.mean(curve[-FINAL:])),
        "reward_best": max(curve),
        **{f"reward_part_{n + 1}": float(np.mean(part)) for n, part in enumerate(parts)},
    }
    readings = {column: Reading(value=float(f"{value:.6g}")) for column, value in values.items()}
    return RawRow(
        name=name,
        network=network,
        action="FP",
        searcher=name,
        protocol="two-stage, r1",
        budget=f"{episodes} episodes",
        values=readings,
    )


CARD = Card(
    id="F5.2",
    title="Reward curves of DDPG and PPO",
    system="S5",
    columns=COLUMNS,
    runner=rewards,
    published={"ppo_q": {"reward_mean": "higher than DDPG's", "reward_sd": "smaller than DDPG's"}},
    findings=("Q13",),
    seeds={Scale.SMALL: 5, Scale.FULL: 5},
    minutes={Scale.SMALL: 5, Scale.FULL: 240},
    files=frozenset({Scale.FULL}),
)
