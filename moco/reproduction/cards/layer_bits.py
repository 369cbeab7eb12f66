"""T5.4: a network pruned by S5's first stage, then the bits of each layer by its second, a row a layer.

VGG-16 has no trained weights here: LeNet-5, the smallest of S5's networks, stands in. The second stage searches with
the pruned widths held (`space.base`), and earns the accuracy alone (r2).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from moco.compression.policy_file import policy_file
from moco.compression.policy_settings import bits_by_part
from moco.policy import Policy
from moco.reproduction.card import Absence, Card
from moco.reproduction.cards.agent_pruning import AGENT, NO_VGG, REWARD, ROLLOUT, episodes_of, space, store
from moco.reproduction.cards.reward_curves import agents
from moco.reproduction.cards.rows import accuracies, row_of
from moco.reproduction.lab import Lab, opened
from moco.reproduction.raw import RawRow, Reading
from moco.reproduction.setting import Drawn, Setting
from moco.reproduction.subjects import LENET
from moco.trial_rank import best

COLUMNS = ("pruned", "weight_bits", "size_share", "top1_change_pp")
RATE = 0.8
BITS = {"precision": ["mixed"], "weight_bits": [2, 8], "activation_bits": [8, 8]}
ACCURACY = {"protocol": "two-stage", "reward": "r2", "metric": "flops"}
AWARE: Mapping[str, Any] = {"quantization_aware": {"epochs": 0.1, "learning_rate": 0.01}}
"""After each rollout of the second stage (S5.09), as in experiments/s5."""
FLOAT_BITS = 32


def layer_bits(setting: Setting) -> Drawn:
    """A seed of T5.4: a row for each layer, and one for the network."""
    with opened(LENET, setting, space(RATE), recovery=(ROLLOUT,), objective=REWARD, store=store(setting)) as lab:
        pruned = _chosen(lab)
        name, ranking = lab.prepared.job.network_name, lab.prepared.job.plan.space.ranking
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "policy.json"
        base.write_text(json.dumps(policy_file(pruned, name, ranking)), encoding="utf-8")
        given = {**space(RATE), "quantization": BITS, "base": str(base)}
        with opened(LENET, setting, given, recovery=(AWARE,), objective=ACCURACY, store=store(setting)) as lab:
            policy = _chosen(lab)
            rows = _rows(lab, policy)
            facts, hardware = {LENET.name: lab.facts}, lab.hardware
    told = "pruned is the share of a layer's weights that is gone; size_share is bits and weights together, of float's"
    return Drawn(tuple(rows), {}, facts, hardware, notes=(told,))


def _chosen(lab: Lab) -> Policy:
    """The best policy of a search by the published agent."""
    episodes = episodes_of(lab.setting)
    lab.setting.tell(f"{lab.subject.name}: {episodes} episodes")
    chosen = best(lab.search(agents(episodes)[AGENT], episodes, timed=False))
    assert chosen is not None
    assert chosen.policy is not None
    return chosen.policy


def _rows(lab: Lab, policy: Policy) -> list[RawRow]:
    """The network as a whole, on unseen images, and each layer with weights."""
    _, thin = lab.prepared.evaluator.builder.build(policy)
    whole = lab.prepared.job.network
    rows, left, spent, before = [], 0, 0, 0
    told: dict[str, Any] = {"action": "channel pruning, bits", "searcher": AGENT, "protocol": "two-stage, r1 then r2"}
    told["fine_tuned"] = "0.1 epochs, in integer codes"
    told["budget"] = f"{episodes_of(lab.setting)} episodes a stage"
    found = bits_by_part(policy)
    for name in policy.settings:
        bits = found[name].weights if name in found else FLOAT_BITS
        counts = [_weights(network, name) for network in (whole, thin)]
        values = {
            "pruned": 1 - counts[1] / counts[0],
            "weight_bits": float(bits),
            "size_share": counts[1] * bits / (counts[0] * FLOAT_BITS),
        }
        rows.append(row_of(lab, name, _readings(values), COLUMNS, **told))
        before, left, spent = before + counts[0], left + counts[1], spent + counts[1] * bits
    total = {"pruned": 1 - left / before, "weight_bits": spent / left, "size_share": spent / (before * FLOAT_BITS)}
    values_of_all = {**_readings(total), "top1_change_pp": accuracies(lab, policy)["top1_change_pp"]}
    return [row_of(lab, "all layers", values_of_all, COLUMNS, **told), *rows]


def _weights(network: nn.Module, layer: str) -> int:
    weight = network.get_submodule(layer).weight
    assert isinstance(weight, Tensor)
    return weight.numel()


def _readings(values: Mapping[str, float]) -> dict[str, Reading]:
    return {name: Reading(value=float(f"{value:.6g}")) for name, value in values.items()}


CARD = Card(
    id="T5.4",
    title="A network pruned, then in bits by layer (VGG-16 as published; LeNet-5 here)",
    system="S5",
    columns=COLUMNS,
    runner=layer_bits,
    published={"all layers": {"pruned": "93.1 %", "weight_bits": "conv 8, fc 5", "size_share": "3.0 %"}},
    absences=(Absence("all", "VGG-16", NO_VGG),),
    files=frozenset(),
)
