"""F3.4: accuracies of S3's three agents over target costs (Q12).

The joint agent searches twice, with other numbers, as the single ones are two: either side is the better of two tries
of as many episodes, chosen on the search split. Rows show its first try.
"""

from __future__ import annotations

from typing import Any

from moco.reproduction.card import Card, Scale
from moco.reproduction.cards.galen_agents import PQ, P, Q
from moco.reproduction.cards.galen_rows import NETWORK, Found, drawn, network_row
from moco.reproduction.cards.galen_search import Bench, episodes_of
from moco.reproduction.cards.galen_table import ELSEWHERE
from moco.reproduction.raw import RawRow
from moco.reproduction.setting import Drawn, Setting

SMALL_TARGETS = (0.1, 0.2, 0.3)
TARGETS = (*SMALL_TARGETS, 0.4, 0.5, 0.6, 0.7)


def accuracy_over_cost(setting: Setting) -> Drawn:
    """A seed of F3.4: a row for each agent and target."""
    return drawn(setting, _over_targets, "Q12")


def _over_targets(bench: Bench) -> Found:
    found = [_at(bench, target) for target in (TARGETS if bench.setting.full else SMALL_TARGETS)]
    return [row for rows, _ in found for row in rows], [compared for _, compared in found]


def _at(bench: Bench, target: float) -> tuple[list[RawRow], dict[str, Any]]:
    """Rows and evidence at one target."""
    episodes = episodes_of(bench.setting)
    found = {agent.name: bench.search(agent, target, episodes) for agent in (P, Q, PQ)}
    again = bench.search(PQ, target, episodes, second=True)
    rows = [network_row(bench, f"{name}, c = {target:g}", choice, NETWORK) for name, choice in found.items()]
    compared = {
        "network": bench.subject.name,
        "c": target,
        "joint": {"first": found[PQ.name].evidence, "second": again.evidence},
        "single": {"p": found[P.name].evidence, "q": found[Q.name].evidence},
    }
    return rows, compared


CARD = Card(
    id="F3.4",
    title="Accuracy over target costs of three agents",
    system="S3",
    columns=NETWORK,
    runner=accuracy_over_cost,
    published={
        "PQ, c = 0.1": {"top1_change_pp": "the best of the three at small c"},
        "Q, c = 0.1": {"cost_missed": "misses its target, with a huge loss"},
        "PQ, c = 0.3": {"top1_change_pp": "none lost"},
    },
    findings=("Q12",),
    absences=ELSEWHERE,
    seeds={Scale.SMALL: 3, Scale.FULL: 5},
    minutes={Scale.SMALL: 10, Scale.FULL: 2880},
    files=frozenset({Scale.FULL}),
)
