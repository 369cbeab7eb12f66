"""The units in which a quantity is modelled: the logit of an error, the logarithm of a cost, anything else as it is."""

from __future__ import annotations

from enum import Enum

import numpy as np

from moco.metrics import METRICS

LEAST_SHARE = 1e-3
"""Errors are kept this far from 0 and 1: the logit of an error of no image in a thousand is not minus infinity."""


class OutcomeTransform(Enum):
    """A monotone scale with its inverse."""

    PLAIN = "plain"
    LOG = "log"
    LOGIT = "logit"

    @staticmethod
    def of(name: str, values: np.ndarray) -> OutcomeTransform:
        """Logit for moco's fractions, logarithm for its other metrics, plain for all else and where values forbid."""
        known = METRICS.get(name)
        if known is None or np.min(values) < 0:
            return OutcomeTransform.PLAIN
        if known.shown_as == "%":
            return OutcomeTransform.LOGIT if np.max(values) <= 1 else OutcomeTransform.PLAIN
        return OutcomeTransform.LOG if np.min(values) > 0 else OutcomeTransform.PLAIN

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Values in the model's units."""
        if self is OutcomeTransform.LOG:
            return np.asarray(np.log(values))
        if self is OutcomeTransform.LOGIT:
            shares = np.clip(values, LEAST_SHARE, 1 - LEAST_SHARE)
            return np.asarray(np.log(shares / (1 - shares)))
        return values

    def back(self, modelled: np.ndarray) -> np.ndarray:
        """Values in the quantity's own units."""
        if self is OutcomeTransform.LOG:
            return np.asarray(np.exp(np.clip(modelled, -700, 700)))
        if self is OutcomeTransform.LOGIT:
            return np.asarray(1 / (1 + np.exp(-np.clip(modelled, -30, 30))))
        return modelled

    def rate(self, values: np.ndarray) -> np.ndarray:
        """Change of the quantity for a unit of the model, at these values of the quantity."""
        if self is OutcomeTransform.LOG:
            return values
        if self is OutcomeTransform.LOGIT:
            shares = np.clip(values, LEAST_SHARE, 1 - LEAST_SHARE)
            return np.asarray(shares * (1 - shares))
        return np.ones_like(values)
