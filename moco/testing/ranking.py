"""The contract of a ranking, on a small network (moco/compression/rankings/ranking.py)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from moco.compression.collecting import CalibrationData
from moco.compression.rankings.ranking import IMAGES as NEEDS_IMAGES
from moco.compression.rankings.ranking import LABELS, Importances, importances
from moco.errors import CompressionError
from moco.testing.network import DATA, IMAGES, compressor, state_of, toy
from moco.testing.suite import Suite, raises_in_one_line


class RankingSuite(Suite):
    """What every ranking holds to."""

    kind = "ranking"

    def scores(self, network: nn.Module, data: CalibrationData | None = DATA, seed: int = 0) -> Importances:
        """Finite importances of every group's channels."""
        return importances(network, compressor().graph, self.make(), data, np.random.default_rng(seed))

    def check_it_looks_at_what_it_says(self) -> None:
        needs: Any = self.plugin.needs
        assert needs <= {NEEDS_IMAGES, LABELS}
        self.scores(toy(), DATA if LABELS in needs else CalibrationData(IMAGES) if needs else None)
        if needs:
            with raises_in_one_line(CompressionError, self.make().name):
                self.scores(toy(), None)
        if LABELS in needs:
            with raises_in_one_line(CompressionError, self.make().name):
                self.scores(toy(), CalibrationData(IMAGES))

    def check_the_network_is_left_as_it_was(self) -> None:
        network = toy().train()
        network.get_submodule("5").eval()
        network.get_parameter("0.weight").requires_grad_(False)
        network.get_parameter("8.bias").grad = torch.ones(5)
        before = state_of(network)
        lengths = {name: len(scores) for name, scores in self.scores(network).items()}
        assert lengths == {name: group.channels for name, group in compressor().graph.groups.items()}
        assert state_of(network) == before

    def check_it_is_the_same_in_training_mode_and_without_gradients(self) -> None:
        expected = self.scores(toy())
        with torch.no_grad():
            found = self.scores(toy().train())
        assert all(np.array_equal(found[group], expected[group]) for group in expected)

    def check_the_same_seed_gives_the_same_importances(self) -> None:
        first, second, state = self.scores(toy()), self.scores(toy()), torch.get_rng_state()
        self.scores(toy(), seed=1)
        assert all(np.array_equal(first[group], second[group]) for group in first)
        assert torch.equal(torch.get_rng_state(), state)
