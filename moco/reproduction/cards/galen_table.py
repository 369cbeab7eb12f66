"""T3.1: S3's three agents at a fifth of the latency, and F3.3: what each does to the layers at three tenths."""

from __future__ import annotations

from moco.reproduction.card import Absence, Card, Scale
from moco.reproduction.cards.galen_agents import AGENTS
from moco.reproduction.cards.galen_rows import LAYER, NETWORK, Found, drawn, layer_rows, network_row, reference_row
from moco.reproduction.cards.galen_search import Bench, episodes_of
from moco.reproduction.raw import RawRow
from moco.reproduction.setting import Drawn, Setting

TABLE_TARGET, FIGURE_TARGET = 0.2, 0.3
NO_DEVICE = "needs a trained ResNet-18, and a Cortex-A72 under TVM for hours"
ELSEWHERE = (Absence("all", "ResNet-18 on a Cortex-A72", NO_DEVICE),)
SEEDS, MINUTES = {Scale.SMALL: 3, Scale.FULL: 5}, {Scale.SMALL: 10.0, Scale.FULL: 1440.0}


def three_agents(setting: Setting) -> Drawn:
    """A seed of T3.1: the uncompressed network, and what each agent chooses with as many episodes."""
    return drawn(setting, _table)


def _table(bench: Bench) -> Found:
    episodes = episodes_of(bench.setting)
    chosen = [(agent.name, bench.search(agent, TABLE_TARGET, episodes)) for agent in AGENTS]
    rows = [network_row(bench, name, choice, NETWORK) for name, choice in chosen]
    return [reference_row(bench, "uncompressed", NETWORK), *rows], []


def three_policies(setting: Setting) -> Drawn:
    """A seed of F3.3: a row for each layer and agent."""
    note = (
        f"at {FIGURE_TARGET:g} of the modelled latency; kept is the share of a layer's channels, 32 bits are float32; "
        "no accuracy is shown, so that chosen networks are not trained on"
    )
    return drawn(setting, _policies, None, note)


def _policies(bench: Bench) -> Found:
    rows: list[RawRow] = []
    for agent in AGENTS:
        choice = bench.untrained(agent, FIGURE_TARGET, episodes_of(bench.setting))
        rows += layer_rows(bench, agent.name, choice, LAYER)
    return rows, []


TABLE_CARD = Card(
    id="T3.1",
    title="Pruning, quantisation and joint agents at c = 0.2",
    system="S3",
    columns=NETWORK,
    runner=three_agents,
    published={
        "uncompressed": {"top1_error": "6.96 %"},
        "P": {"top1_error": "7.62 %", "macs_ratio": ".195"},
        "Q": {"top1_error": "55.00 %", "macs_ratio": "1"},
        "PQ": {"top1_error": "7.23 %", "macs_ratio": ".594", "modelled_latency": "19.4 % (measured, 64 ms)"},
    },
    absences=ELSEWHERE,
    seeds=SEEDS,
    minutes=MINUTES,
    files=frozenset({Scale.FULL}),
)
FIGURE_CARD = Card(
    id="F3.3",
    title="Policies by layer at c = 0.3",
    system="S3",
    columns=LAYER,
    runner=three_policies,
    published={
        "P: mean of layers": {"kept": "nearly alike, but for the first layer"},
        "Q: mean of layers": {"weight_bits": "fewer than of activations", "activation_bits": "first, last: int8"},
        "PQ: mean of layers": {"kept": "early layers whole", "weight_bits": "4", "activation_bits": "5"},
    },
    absences=ELSEWHERE,
    seeds=SEEDS,
    minutes=MINUTES,
    files=frozenset({Scale.FULL}),
)
