"""Rows of S3's cards: a chosen network on unseen images, and what was done to each of its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from moco.compression.policy_settings import NEUTRAL, bits_of, widths_of
from moco.compression.precision import FLOAT_BITS
from moco.compression.space.codec import cost_of
from moco.evaluation.accuracy import Correct
from moco.reproduction.cards.galen_agents import WARMUP
from moco.reproduction.cards.galen_search import PART, WHOLE, Bench, Choice, benched, episodes_of, retraining, subjects
from moco.reproduction.cards.rows import accuracies_of, row_of, share
from moco.reproduction.raw import RawRow, Reading
from moco.reproduction.setting import Drawn, Setting

COSTS = ("modelled_latency", "cost_missed", "macs", "macs_ratio", "bops", "bops_ratio")
NETWORK = (*COSTS, "top1_error", "top1_change_pp", "search_top1_error", "reward")
LAYER = ("kept", "weight_bits", "activation_bits")
MODELLED = (
    "modelled_latency is a share of the uncompressed network's, by what S3's paper says of its device "
    "(moco/reproduction/cards/modelled_latency.py): runtimes here have no kernels for few bits; cost_missed is by how "
    "much of its target it misses it"
)


def notes_of(setting: Setting) -> tuple[str, ...]:
    """What every card of S3's says of how it was measured."""
    candidate = WHOLE if setting.full else PART
    fewer = "" if setting.full else "; S3 has 410, 1 and 30, and an agent that learns more slowly"
    searched = (
        f"{episodes_of(setting)} episodes a search, of which {WARMUP} are a warm-up; a candidate is trained for "
        f"{candidate:g} of an epoch before it is scored, the chosen network for {retraining(setting)} epochs{fewer}"
    )
    return searched, MODELLED


Found = tuple[list[RawRow], list[dict[str, Any]]]
"""Rows of one network, and what they tell of the card's finding."""


def drawn(setting: Setting, of_network: Callable[[Bench], Found], finding: str | None = None, *notes: str) -> Drawn:
    """A seed of a card: what is found of each network, and the notes of this card before those of all."""
    rows: list[RawRow] = []
    evidence: list[dict[str, Any]] = []
    facts, hardware = {}, ""
    for subject in subjects(setting):
        with benched(subject, setting) as bench:
            facts[subject.name], hardware = bench.trained.facts, bench.trained.hardware
            more, told_by_them = of_network(bench)
            rows += more
            evidence += told_by_them
    found = {} if finding is None else {finding: evidence}
    return Drawn(tuple(rows), found, facts, hardware, notes=(*notes, *notes_of(setting)))


def reference_row(bench: Bench, name: str, columns: Sequence[str]) -> RawRow:
    """The uncompressed network."""
    found = {**_counts(bench, None), **accuracies_of(bench.trained, bench.trained.fresh_reference)}
    found["search_top1_error"] = Reading(value=bench.trained.reference["top1_error"])
    return row_of(bench.trained, name, found, columns)


def network_row(bench: Bench, name: str, choice: Choice, columns: Sequence[str]) -> RawRow:
    """A chosen network, trained on."""
    found = {**_counts(bench, choice), **accuracies_of(bench.trained, choice.right["certification"])}
    found["search_top1_error"] = _error(choice.right["search"])
    numbers = {"reward": choice.reward, "action_sd": choice.action_sd, "cost_missed": choice.cost / choice.target - 1}
    found |= {column: _reading(value) for column, value in numbers.items()}
    return row_of(bench.trained, name, found, columns, **told(bench, choice))


def layer_rows(bench: Bench, name: str, choice: Choice, columns: Sequence[str]) -> list[RawRow]:
    """A row a layer, in forward order, and one of their means: the share of its channels, and its bits."""
    layers = _layers(bench, choice)
    means = {column: sum(found[column] for found in layers.values()) / len(layers) for column in LAYER}
    rows = {f"{name}: mean of layers": means, **{f"{name}: {layer}": found for layer, found in layers.items()}}
    return [row_of(bench.trained, row, _readings(found), columns, **told(bench, choice)) for row, found in rows.items()]


def told(bench: Bench, choice: Choice) -> dict[str, str]:
    """What was searched, and how."""
    return {
        "action": choice.agent.action,
        "searcher": f"DDPG, {choice.agent.features}",
        "protocol": f"accuracy - 3 |cost / {choice.target:g} - 1|",
        "budget": f"{choice.episodes} episodes",
        "fine_tuned": f"{retraining(bench.setting)} epochs" if choice.right else "no",
    }


def _layers(bench: Bench, choice: Choice) -> dict[str, dict[str, float]]:
    """By layer its share of channels that is left, and its bits, 32 in float."""
    costs = bench.latency.costs
    widths, bits = widths_of(choice.policy), bits_of(choice.policy)
    found = {}
    for layer in costs.layers:
        own = bits.get(layer.name, FLOAT_BITS)
        kept = costs.width(layer.name, "out", widths) / layer.out_channels
        found[layer.name] = {
            "kept": kept,
            "weight_bits": float(own.weights),
            "activation_bits": float(own.activations),
        }
    return found


def _counts(bench: Bench, choice: Choice | None) -> dict[str, Reading]:
    costs = bench.latency.costs
    whole = cost_of(costs, NEUTRAL)
    own = whole if choice is None else cost_of(costs, choice.policy)
    ratios = {f"{name}_ratio": own[name] / whole[name] for name in ("macs", "bops")}
    latency = 1.0 if choice is None else choice.cost
    return _readings({"modelled_latency": latency, "macs": own["macs"], "bops": own["bops"], **ratios})


def _error(right: Correct) -> Reading:
    return share(int((~right.top1).sum()), len(right.top1))


def _readings(values: Mapping[str, float]) -> dict[str, Reading]:
    return {name: _reading(value) for name, value in values.items()}


def _reading(value: float) -> Reading:
    return Reading(value=float(f"{value:.6g}"))
