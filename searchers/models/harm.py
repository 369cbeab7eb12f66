"""What error follows from how far parameters compress: harms of layers add up, and the error grows with their sum.

That the perturbations of layers add up, each with a sensitivity of its own, is what methods of mixed precision go by
(Y. Zhou et al., "Adaptive quantization for deep neural network", AAAI 2018; Z. Dong et al., "HAWQ-V2", NeurIPS 2020).
Of a column c of kind k at depth d_c (0 at neutral, up to 1 at the far end) and of the whole policy:

    h_c = s_c d_c^(b_k) e^(a_k (d_c - 1)),      H = sum_c h_c,      w = H^q / (1 + H^q),
    error = e_0 + (e_1 - e_0) w

so nothing is lost at first, and beyond a cliff all is: e_0 is the error of the whole network, e_1 that of one that
guesses. Where neutral lies within a range, both ends have the same harm. A choice has a harm of its own, s_c, where it
is taken. All that is not known has a normal prior, on the scale of a logarithm (s, a, b, q) or a logit (e_0, e_1); here
each is given as a standard normal number:

| coordinates z | of |
|---|---|
| one a column | its sensitivity s_c, about that of its kind |
| three a kind | the level of its sensitivities, a_k and b_k |
| three | q, e_0 and e_1 |
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SENSITIVITY_SD = 1.0  # of a sensitivity's logarithm about its kind's level: the worst of twenty is six times the median
LEVEL, LEVEL_SD = math.log(1.5), 2.0  # harm of a kind at its far end in all layers; at 1 the error is half way to e_1
GROWTH, GROWTH_SD = math.log(3.0), 0.7  # a_k
POWER, POWER_SD = 0.0, 0.5  # b_k
STEEPNESS, STEEPNESS_SD = math.log(1.3), 0.3  # q
NEUTRAL_SD = 2.0  # of the logit of e_0
GUESSING, GUESSING_SD = 2.5, 1.0  # logit of e_1: of ten classes 2.2, of two 0
LEAST_ABOVE = 1.0  # logits by which e_1 is expected above e_0 at least, of networks that know next to nothing
LEAST_HARM = 1e-4  # is added to H: the logarithm of none would be minus infinity
LEAST_DEPTH = 1e-9  # likewise of depths
LARGEST = 30.0  # logarithms and logits beyond it are the same


@dataclass(frozen=True)
class Harm:
    """The logit of the error as a function of the coordinates z.

    Attributes:
        columns: (c,) of the inputs, those that compress.
        kinds: (c,) index of each one's kind.
        parameters: (kinds,) how many of each kind there are; a choice of several has a column for each.
        is_choice: (c,) whether a column is 1 where a choice is taken, not a depth.
        neutral_logit: logit of e_0 that is expected.
    """

    columns: np.ndarray
    kinds: np.ndarray
    parameters: np.ndarray
    is_choice: np.ndarray
    neutral_logit: float = 0.0

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.columns) + 3 * len(self.parameters) + 3

    def logits(self, z: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logit of the error (n,) of inputs (n, width), and its slopes (n, size) with the coordinates z (size,)."""
        own, level, growth, power, (steepness, neutral, guessing) = np.split(z, self._ends)
        depth = np.clip(inputs[:, self.columns], LEAST_DEPTH, 1.0)
        a = np.exp(_clipped(GROWTH + GROWTH_SD * growth))[self.kinds]
        b = np.exp(_clipped(POWER + POWER_SD * power))[self.kinds]
        expected = LEVEL - np.log(self.parameters) + LEVEL_SD * level
        sensitivity = np.exp(_clipped(expected[self.kinds] + SENSITIVITY_SD * own))
        grown = np.where(self.is_choice, depth, depth**b * np.exp(a * (depth - 1)))
        harm = sensitivity * np.where(depth > LEAST_DEPTH, grown, 0.0)
        total = harm.sum(axis=1) + LEAST_HARM
        q = math.exp(STEEPNESS + STEEPNESS_SD * steepness)
        e_0 = _logistic(self.neutral_logit + NEUTRAL_SD * neutral)
        e_1 = _logistic(max(GUESSING, self.neutral_logit + LEAST_ABOVE) + GUESSING_SD * guessing)
        lost = _logistic(q * np.log(total))
        error = e_0 + (e_1 - e_0) * lost

        per_error = 1 / (error * (1 - error))
        per_log_harm = per_error * (e_1 - e_0) * lost * (1 - lost) * q
        by_column = (per_log_harm / total)[:, None] * harm  # with the logarithm of each column's harm
        of_kind = np.eye(len(self.parameters))[self.kinds]
        by_number = by_column * ~self.is_choice
        slopes = [
            SENSITIVITY_SD * by_column,
            LEVEL_SD * by_column @ of_kind,
            GROWTH_SD * (by_number * a * (depth - 1)) @ of_kind,
            POWER_SD * (by_number * b * np.log(depth)) @ of_kind,
            (STEEPNESS_SD * per_log_harm * np.log(total))[:, None],
            (NEUTRAL_SD * per_error * (1 - lost) * e_0 * (1 - e_0))[:, None],
            (GUESSING_SD * per_error * lost * e_1 * (1 - e_1))[:, None],
        ]
        return np.log(error / (1 - error)), np.hstack(slopes)

    @property
    def _ends(self) -> np.ndarray:
        """Where the parts of z end."""
        return len(self.columns) + len(self.parameters) * np.arange(4)


def _clipped(logarithm: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(logarithm, -LARGEST, LARGEST))


def _logistic(logit: np.ndarray | float) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -LARGEST, LARGEST))))
