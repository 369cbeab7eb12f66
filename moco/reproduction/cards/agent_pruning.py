"""T5.1: networks pruned by S5's PPO at two rates, and the same evaluations by uniform ratios and by chance (Q21).

The agent, its state, its reward and its short training after each rollout are those of experiments/s5; a rate is the
largest share of a layer's channels that an action may remove (S5.03).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moco.policy import Policy
from moco.reproduction.card import Absence, Card, Scale
from moco.reproduction.cards.reward_curves import agents
from moco.reproduction.cards.rivals import rivals
from moco.reproduction.cards.rows import accuracies, row_of
from moco.reproduction.lab import Lab, opened
from moco.reproduction.raw import RawRow, Reading
from moco.reproduction.setting import Drawn, Setting
from moco.reproduction.subjects import DIGITS, LENET, RESNET20, Subject
from moco.trial_rank import best

COLUMNS = ("top1_error", "top1_change_pp", "rollout_change_pp", "parameters", "pruned", "macs_ratio", "reward")
RATES = (0.5, 0.8)
REWARD = {"protocol": "two-stage", "reward": "r1", "metric": "flops"}
ROLLOUT: Mapping[str, Any] = {"fine_tuning": {"epochs": 0.1, "learning_rate": 0.01}}
"""After each rollout, as in experiments/s5."""
AFTERWARDS: Mapping[str, Any] = {"fine_tuning": {"epochs": 5.0, "learning_rate": 0.01}}
STORE = "pruning.sqlite"
NO_VGG = (
    "needs trained VGG-16 weights; an epoch of CIFAR-10 takes a processor many minutes, a training a hundred epochs"
)
AGENT = "ppo_q"


def agent_pruning(setting: Setting) -> Drawn:
    """A seed of T5.1."""
    rows: list[RawRow] = []
    evidence: list[dict[str, Any]] = []
    facts, hardware = {}, ""
    for subject in (LENET, DIGITS, RESNET20) if setting.full else (LENET, DIGITS):
        for rate in RATES:
            with opened(
                subject, setting, space(rate), recovery=(ROLLOUT,), objective=REWARD, store=store(setting)
            ) as lab:
                facts[subject.name], hardware = lab.facts, lab.hardware
                if rate == RATES[0]:
                    rows.append(_reference(lab))
                policy, row, compared = _pruned(lab, rate)
            evidence.append(compared)
            rows.append(_trained(subject, setting, rate, policy, row))
    told = (
        "pruned is the share of the parameters that is gone; reward and rollout_change_pp are those after a tenth of "
        "an epoch, the errors those after a training of five epochs; all but the reward on unseen images"
    )
    return Drawn(tuple(rows), {"Q21": evidence}, facts, hardware, notes=(told,))


def space(rate: float) -> dict[str, Any]:
    """Each layer's channels, of which up to this share may go."""
    return {"groups": "per-layer", "channel_multiple": 1, "channel_pruning": {"keep": [round(1 - rate, 6), 1.0]}}


def store(setting: Setting) -> Path:
    """Where the evaluations of the searches are kept."""
    return setting.folder / STORE


def episodes_of(setting: Setting) -> int:
    """How many rollouts a search has."""
    return setting.of(40, 400)


def _reference(lab: Lab) -> RawRow:
    values = {**accuracies(lab, None), "parameters": Reading(value=lab.reference["parameters"])}
    return row_of(lab, "base", values, COLUMNS)


def _pruned(lab: Lab, rate: float) -> tuple[Policy, RawRow, dict[str, Any]]:
    """What the agent has chosen, its row before the training, and how it compares."""
    episodes = episodes_of(lab.setting)
    lab.setting.tell(f"{lab.subject.name}: up to {rate:g} pruned, {episodes} episodes")
    trials = lab.search(agents(episodes)[AGENT], episodes, timed=False)
    chosen = best(trials)
    assert chosen is not None
    assert chosen.policy is not None
    assert chosen.evaluation is not None
    found = {name: metric.value for name, metric in chosen.evaluation.metrics.items()}
    values = {
        "parameters": found["parameters"],
        "pruned": 1 - found["parameters"] / lab.reference["parameters"],
        "macs_ratio": found["macs"] / lab.reference["macs"],
        "reward": float(chosen.score or 0.0),
    }
    readings = {name: Reading(value=float(f"{value:.6g}")) for name, value in values.items()}
    readings["rollout_change_pp"] = accuracies(lab, chosen.policy)["top1_change_pp"]
    told = {"action": "channel pruning", "searcher": AGENT, "protocol": "two-stage, r1"}
    row = row_of(lab, f"PPO, rate {rate:g}", readings, COLUMNS, budget=f"{episodes} episodes", **told)
    compared = rivals(lab, trials, action=f"channel pruning, rate {rate:g}", protocol="two-stage, r1", timed=False)
    return chosen.policy, row, compared


def _trained(subject: Subject, setting: Setting, rate: float, policy: Policy, row: RawRow) -> RawRow:
    """The row with its errors after the training that follows the search."""
    with opened(subject, setting, space(rate), recovery=(AFTERWARDS,), objective=REWARD, store=store(setting)) as lab:
        values = {**row.values, **accuracies(lab, policy)}
        facts = {name: getattr(row, name) for name in ("action", "searcher", "protocol", "budget")}
        return row_of(lab, row.name, values, COLUMNS, fine_tuned="5 epochs", **facts)


CARD = Card(
    id="T5.1",
    title="PPO pruning of LeNet-5, VGG and ResNet",
    system="S5",
    columns=COLUMNS,
    runner=agent_pruning,
    published={
        "base": {"top1_error": "VGG 6.54 %, ResNet 5.37 %"},
        "PPO, rate 0.5": {"top1_error": "VGG 6.33 %, ResNet 5.33 %", "pruned": "ResNet 55.1 %"},
        "PPO, rate 0.8": {"top1_error": "VGG 6.20 %, ResNet 5.19 %, LeNet .34 %", "pruned": "ResNet 71.2 %"},
    },
    findings=("Q21",),
    absences=(Absence("all", "VGG on CIFAR-10", NO_VGG), Absence("all", "ResNet-110", "needs trained weights of it")),
    seeds={Scale.SMALL: 5, Scale.FULL: 5},
    minutes={Scale.SMALL: 10, Scale.FULL: 720},
    files=frozenset({Scale.FULL}),
)
