"""The cards of the reference's section 2.1 by id, in its order; F1.GAP and F1.STATE (Q02, Q19) are moco's own."""

from __future__ import annotations

from moco.reproduction.card import Card
from moco.reproduction.cards import (
    agent_pruning,
    correlations,
    few_images,
    fixed_ratios,
    galen_ablation,
    galen_orders,
    galen_table,
    galen_targets,
    group_sweeps,
    imagenet,
    layer_bits,
    layer_errors,
    optimised,
    reward_curves,
    sensitivity_curves,
    state_ablation,
    students,
)
from moco.reproduction.cards.thesis import CONSTRAINED_CARD, GUARANTEED_CARD

ORDER = (
    *("T1.AG", "T1.RC", "F1.GAP", "F1.STATE", "F1.TRT", "F1.CORR", "E2"),
    *("T3.1", "F3.3", "F3.4", "F3.5", "F3.6", "T3.2", "T4.1", "T4.2"),
    *("T5.1", "T5.2", "T5.3", "T5.4", "F5.2", "F5.6"),
)
_RUNNING = (
    *(GUARANTEED_CARD, CONSTRAINED_CARD, optimised.CARD, correlations.CARD, fixed_ratios.CARD),
    *(sensitivity_curves.CARD, reward_curves.CARD, layer_errors.CARD, group_sweeps.CARD, few_images.CARD),
    *(
        agent_pruning.CARD,
        layer_bits.CARD,
        state_ablation.CARD,
        imagenet.RATES_CARD,
        imagenet.BUDGETS_CARD,
        students.CARD,
    ),
    *(
        galen_table.TABLE_CARD,
        galen_table.FIGURE_CARD,
        galen_targets.CARD,
        galen_orders.CARD,
        galen_ablation.CARD,
    ),
)
_FOUND = {card.id: card for card in _RUNNING}
CARDS: dict[str, Card] = {name: _FOUND[name] for name in ORDER}
