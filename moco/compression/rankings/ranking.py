"""The contract of a ranking: how important each channel is (S1.41, S2.03, S4.03, S4.04).

Registered by an entry point of the group `moco.ranking`, a ranking of another package is one that `rank:` takes
(docs/adding_a_ranking.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.collecting import CalibrationData
from moco.errors import CompressionError, ConfigError
from moco.registry import NamedPlugin, plugin

USUAL_RANKING = "l1"  # the ranking of a policy that names none
IMAGES, LABELS = "images", "labels"

Data: TypeAlias = CalibrationData | None
Rng: TypeAlias = np.random.Generator | None
Importances = dict[str, np.ndarray]
"""By channel group, the importance (channels,) of each of its channels, float64; larger stays longer."""


@dataclass(frozen=True)
class Ranking(NamedPlugin):
    """A ranking of the channels of every group of a network.

    Attributes:
        needs: what it looks at besides weights: calibration `images`, and their `labels`.
    """

    needs: ClassVar[frozenset[str]] = frozenset()

    def scores(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Importances:
        """By channel group, the importance of each of its channels; the network is left as it was.

        Args:
            data: calibration images, normalised, with their labels; None only where it needs none.
            rng: drawn from the search's seed; the only source of chance. None where the caller has none.

        Raises:
            CompressionError: what it needs is missing.
        """
        raise NotImplementedError


def importances(
    network: nn.Module, graph: ChannelGraph, ranking: Ranking | str, data: Data = None, rng: Rng = None
) -> Importances:
    """By channel group, the importance (channels,) of each of its channels; the network is left as it was.

    A ranking may be given by its name, with its usual options. It is a CompressionError that there is none of that
    name, that what it needs is missing, or that its numbers are not finite.
    """
    if isinstance(ranking, str):
        try:
            ranking = plugin("ranking", ranking)()
        except ConfigError as error:
            raise CompressionError(str(error).removeprefix("ranking: ")) from error
    assert isinstance(ranking, Ranking)
    found = ranking.scores(network, graph, data, rng)
    for name, group in graph.groups.items():
        importance = found.get(name)
        if importance is None or importance.shape != (group.channels,):
            shape = None if importance is None else importance.shape
            raise CompressionError(
                f"ranking '{ranking.name}': expected importances ({group.channels},) of '{name}', got {shape}"
            )
        if not np.isfinite(importance).all():
            raise CompressionError(
                f"ranking '{ranking.name}': the importance of '{name}' is not finite; are there NaN in its weights?"
            )
    return found
