"""T3.2, with figure 7: S3's joint agent with and without the sensitivities in its state (S3.53, Q11)."""

from __future__ import annotations

from moco.reproduction.card import Card, Scale
from moco.reproduction.cards.galen_agents import PQ
from moco.reproduction.cards.galen_rows import LAYER, NETWORK, Found, drawn, layer_rows, network_row
from moco.reproduction.cards.galen_search import Bench, episodes_of
from moco.reproduction.cards.galen_table import ELSEWHERE, TABLE_TARGET
from moco.reproduction.raw import RawRow
from moco.reproduction.setting import Drawn, Setting

COLUMNS = (*NETWORK, "action_sd", *LAYER)
ROWS = {"without": "disabled", "with": "enabled"}


def with_and_without(setting: Setting) -> Drawn:
    """A seed of T3.2: one search either way, and the layers of what each has chosen."""
    note = "action_sd is how much the executed actions deviate over the layers, a mean over the three actions"
    return drawn(setting, _sides, "Q11", note)


def _sides(bench: Bench) -> Found:
    episodes = episodes_of(bench.setting)
    found = {side: bench.search(PQ, TABLE_TARGET, episodes, constant=side == "without") for side in reversed(ROWS)}
    rows: list[RawRow] = []
    for side, name in ROWS.items():
        rows.append(network_row(bench, name, found[side], COLUMNS))
        rows += layer_rows(bench, name, found[side], COLUMNS)
    # a side of one network: nothing is chosen but whether it meets its cost
    sides = {side: {"only": choice.evidence} for side, choice in found.items()}
    spread = {side: float(f"{choice.action_sd:.6g}") for side, choice in found.items()}
    return rows, [{"network": bench.subject.name, "c": TABLE_TARGET, **sides, "action_sd": spread}]


CARD = Card(
    id="T3.2",
    title="The joint agent with and without sensitivity features",
    system="S3",
    columns=COLUMNS,
    runner=with_and_without,
    published={
        "disabled": {"macs_ratio": "0.354 (1.68e10 of 4.75e10)", "action_sd": "low, around the threshold of few bits"},
        "enabled": {"macs_ratio": "0.594 (2.82e10 of 4.75e10)", "modelled_latency": "19.4 % (measured)"},
        "enabled: mean of layers": {"weight_bits": "varied; disabled 6 bits alone, or int8"},
    },
    findings=("Q11",),
    absences=ELSEWHERE,
    seeds={Scale.SMALL: 5, Scale.FULL: 5},
    minutes={Scale.SMALL: 6, Scale.FULL: 1440},
    files=frozenset({Scale.FULL}),
    aliases=("T3.2/F3.7", "F3.7"),
)
