"""Synthetic networks under compression: what error and cost follow from, layer by layer, for many policies at once.

*Harm* of a layer, from its own sensitivities (log-normal with heavy tails, so a few layers cost most of the accuracy):

    h_i = s_i p(1 - keep_i) + r_i p(1 - rank_i) + t_i 4^(4 - weight bits) + u_i 4^(5 - activation bits) + v_i [dropped]

where p(x) = (e^(3x) - 1 - 3x) / (e^1.5 - 2.5) is flat at first, 1 at half and steep beyond. Neighbours help or hurt
each other, and what is harmed is more easily harmed: with H = sum h_i + sum rho_i sqrt(h_i h_(i+1)),

    error = e_0 + (e_chance - e_0) G^q / (1 + G^q),      G = H (1 + c H)

so nothing is lost at first, and beyond a cliff all is. A layer's MACs go with the shares kept of its own channels and
of the layer before (where it is wired to it), its latency with whole blocks of channels and with what a byte saves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Settings = Mapping[str, np.ndarray]
"""(n, layers) by setting: keep, rank, weight_bits, activation_bits, present."""

NEUTRAL = {"keep": 1.0, "rank": 1.0, "weight_bits": 8.0, "activation_bits": 8.0, "present": 1.0}
TAIL = 1.1
"""Standard deviation of a sensitivity's logarithm: the worst of twenty layers has ten times the median's."""


@dataclass(frozen=True)
class Network:
    """A network of L layers.

    Attributes:
        channels: (L,) of each layer.
        macs: (L,) multiply-accumulates, uncompressed, in millions.
        weights: (L,) in millions.
        chained: (L,) 1 where a layer's input is the output of the one before, so that it shrinks with it, else 0.
        sensitivities: (L,) of each of keep, rank, weight_bits, activation_bits and present.
        rho: (L - 1,) interaction of neighbours, in (-1, 1).
        base: error of the uncompressed network; chance: of one that guesses.
        steepness: q of the cliff; compounding: c.
        multiple: channels of a block of the device.
        overhead: share of the uncompressed latency that no compression saves.
    """

    channels: np.ndarray
    macs: np.ndarray
    weights: np.ndarray
    chained: np.ndarray
    sensitivities: Mapping[str, np.ndarray]
    rho: np.ndarray
    base: float
    chance: float
    steepness: float
    compounding: float
    multiple: int
    overhead: float

    def error(self, settings: Settings) -> np.ndarray:
        """(n,) expected top-1 error."""
        s, present = self.sensitivities, settings["present"]
        harm = s["keep"] * pruned(1 - settings["keep"]) + s["rank"] * pruned(1 - settings["rank"])
        harm = harm + s["weight_bits"] * 4.0 ** (4 - settings["weight_bits"])
        harm = present * (harm + s["activation_bits"] * 4.0 ** (5 - settings["activation_bits"]))
        harm = harm + (1 - present) * s["present"]
        total = harm.sum(axis=1) + np.sqrt(harm[:, :-1] * harm[:, 1:]) @ self.rho
        grown = (total * (1 + self.compounding * total)) ** self.steepness
        return np.asarray(self.base + (self.chance - self.base) * grown / (1 + grown))

    def costs(self, settings: Settings) -> dict[str, np.ndarray]:
        """(n,) of macs, packed_size_mb, bops and latency_ms, this one without the noise of a measurement."""
        present, keep = settings["present"], settings["keep"]
        before = np.column_stack([np.ones(len(keep)), keep[:, :-1]])
        shares = present * settings["rank"] * keep * np.where(self.chained > 0, before, 1.0)
        macs, weights = self.macs * shares, self.weights * shares
        bits, activations = settings["weight_bits"], settings["activation_bits"]
        blocks = present * settings["rank"] * self._blocks(keep) * np.where(self.chained > 0, self._blocks(before), 1.0)
        speed = np.where((bits <= 8) & (activations <= 8), 1.0, 2.5)
        total = self.macs.sum()
        latency = (1 - self.overhead) * (blocks * self.macs * speed).sum(axis=1) / total
        latency = latency + self.overhead * (0.5 + 0.5 * present.mean(axis=1))
        return {
            "macs": macs.sum(axis=1),
            "packed_size_mb": (weights * bits).sum(axis=1) / 8,
            "bops": (macs * bits * activations).sum(axis=1),
            "latency_ms": latency * total / 10,
        }

    def _blocks(self, keep: np.ndarray) -> np.ndarray:
        """The shares kept, in whole blocks of the device."""
        return np.asarray(np.ceil(keep * self.channels / self.multiple - 1e-9) * self.multiple / self.channels)


def pruned(share: np.ndarray) -> np.ndarray:
    """Harm of leaving out a share, 1 at half."""
    return np.asarray((np.exp(3 * share) - 1 - 3 * share) / (np.exp(1.5) - 2.5))


@dataclass(frozen=True)
class Make:
    """How a network is drawn.

    Attributes:
        harms: by setting, total harm of all layers at half the channels, half the rank, 4 weight bits, 5 activation
            bits, all layers left out: the larger, the nearer the cliff.
    """

    layers: int
    harms: Mapping[str, float]
    base: float = 0.08
    chance: float = 0.9
    steepness: float = 1.5
    compounding: float = 0.3
    multiple: int = 8
    overhead: float = 0.1
    chained: bool = True
    narrow: int = 32  # channels of the first layers
    stages: int = 3  # each has twice the channels of the one before

    def network(self, rng: np.random.Generator) -> Network:
        """One draw."""
        n = self.layers
        stage = np.arange(n) * self.stages // n
        channels = self.narrow * 2.0**stage
        kernel = rng.choice([1.0, 9.0], size=n, p=[0.35, 0.65])
        weights = channels * np.append(3.0, channels[:-1]) * kernel / 1e6
        macs = weights * (32.0 / 2**stage) ** 2
        chained = np.append(0, np.full(n - 1, int(self.chained)))
        sensitivities = {name: self._drawn(name, rng) for name in NEUTRAL}
        rho = rng.uniform(-0.5, 0.6, n - 1)
        return Network(
            channels, macs, weights, chained, sensitivities, rho,
            self.base, self.chance, self.steepness, self.compounding, self.multiple, self.overhead,
        )  # fmt: skip

    def _drawn(self, name: str, rng: np.random.Generator) -> np.ndarray:
        """(L,) sensitivities to a setting; first and last layers have more of it than their share."""
        drawn = np.exp(TAIL * rng.standard_normal(self.layers))
        drawn[[0, -1]] *= 3
        return np.asarray(drawn * self.harms.get(name, 0.0) / drawn.sum())
