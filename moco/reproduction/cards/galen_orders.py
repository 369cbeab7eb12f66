"""F3.5: S3's agents one after the other, in both orders, and the joint one, at a fifth of the latency (Q10).

Two agents share the episodes of one search; the joint agent searches twice, as there are two orders.
"""

from __future__ import annotations

from moco.reproduction.card import Card, Scale
from moco.reproduction.cards.galen_agents import PQ, ROUNDED, Q
from moco.reproduction.cards.galen_rows import LAYER, NETWORK, Found, drawn, layer_rows, network_row
from moco.reproduction.cards.galen_search import Bench, episodes_of, halfway
from moco.reproduction.cards.galen_table import ELSEWHERE, TABLE_TARGET
from moco.reproduction.cards.rows import with_values
from moco.reproduction.raw import RawRow
from moco.reproduction.setting import Drawn, Setting

COLUMNS = (*NETWORK, "first_stage_latency", *LAYER)
SCHEMES = {"p_then_q": "P, then Q", "q_then_p": "Q, then P"}
PAIRS = {"p_then_q": (ROUNDED, Q), "q_then_p": (Q, ROUNDED)}


def orders(setting: Setting) -> Drawn:
    """A seed of F3.5: a row for each scheme and, of each, one for every layer."""
    first = f"the first of two agents aims at {halfway(TABLE_TARGET):g}, to which first_stage_latency compares"
    return drawn(setting, _schemes, "Q10", first)


def _schemes(bench: Bench) -> Found:
    """Rows and evidence of one network."""
    episodes = episodes_of(bench.setting)
    rows: list[RawRow] = []
    begun, sequential = {}, {}
    for scheme, (first, then) in PAIRS.items():
        begun[scheme], sequential[scheme] = bench.one_after_the_other(first, then, TABLE_TARGET, episodes)
        row = network_row(bench, SCHEMES[scheme], sequential[scheme], COLUMNS)
        rows.append(with_values(row, COLUMNS, first_stage_latency=float(f"{begun[scheme].cost:.6g}")))
        rows += layer_rows(bench, SCHEMES[scheme], sequential[scheme], COLUMNS)
    joint = [bench.search(PQ, TABLE_TARGET, episodes, second=second) for second in (False, True)]
    rows += [network_row(bench, "joint", joint[0], COLUMNS), *layer_rows(bench, "joint", joint[0], COLUMNS)]
    compared = {
        "network": bench.subject.name,
        "c": TABLE_TARGET,
        "joint": {"first": joint[0].evidence, "second": joint[1].evidence},
        "sequential": {scheme: choice.evidence for scheme, choice in sequential.items()},
    }
    return rows, [compared]


CARD = Card(
    id="F3.5",
    title="Pruning then quantisation, the reverse, and joint",
    system="S3",
    columns=COLUMNS,
    runner=orders,
    published={
        "P, then Q: mean of layers": {"weight_bits": "the second stage is the more aggressive one"},
        "Q, then P: mean of layers": {"kept": "the second stage is the more aggressive one", "weight_bits": "8"},
        "joint: mean of layers": {"kept": "less than one after the other", "weight_bits": "balanced"},
    },
    findings=("Q10",),
    absences=ELSEWHERE,
    seeds={Scale.SMALL: 3, Scale.FULL: 5},
    minutes={Scale.SMALL: 10, Scale.FULL: 1440},
    files=frozenset({Scale.FULL}),
)
