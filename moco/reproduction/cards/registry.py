"""The cards of the reference's section 2.1 by id, in its order."""

from __future__ import annotations

from moco.reproduction.card import Card
from moco.reproduction.cards.thesis import CONSTRAINED_CARD, GUARANTEED_CARD

CARDS: dict[str, Card] = {card.id: card for card in (GUARANTEED_CARD, CONSTRAINED_CARD)}
