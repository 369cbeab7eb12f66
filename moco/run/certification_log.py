"""What has been read off the certification images so far, kept in RUN/certification.json.

A search that is resumed ends again, and each delivery tests candidates on the same images. The probability of a false
certificate is a budget: what a delivery has spent is gone, and a later one tests with what is left. A network that was
certified once stays certified; it is not tested again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from moco.certification.certificate import Attempt, Certificate
from moco.errors import RunFolderError
from moco.policy import Policy
from moco.run_folder.writing import write_json

CERTIFICATION = "certification.json"
LEAST = 1e-9
"""Probability that is still tested with when all is spent: its bound is so wide that nothing holds by chance."""


class CertificationLog:
    """The attempts of all endings of one search."""

    def __init__(self, folder: Path) -> None:
        """Read what earlier endings left; a RunFolderError where that cannot be read."""
        self._path = folder / CERTIFICATION
        content: dict[str, Any] = {"spent": 0.0, "held": {}}
        try:
            content |= json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError) as error:
            raise RunFolderError(f"{self._path}: cannot be read: {error}; it must not be changed by hand") from None
        self._spent, self._held = float(content["spent"]), dict(content["held"])

    def confidence_left(self, confidence: float) -> float:
        """The confidence that this delivery must ask for, so that all deliveries together keep `confidence`."""
        return 1 - max((1 - confidence) - self._spent, LEAST)

    def has_confidence_left(self, confidence: float) -> bool:
        """Whether earlier endings have left anything to test with."""
        return (1 - confidence) - self._spent > LEAST

    def held(self, policy: Policy) -> Certificate | None:
        """The certificate that an earlier delivery gave the policy's network."""
        stored = self._held.get(policy.key)
        if stored is None:
            return None
        attempts = tuple(Attempt(**attempt) for attempt in stored["attempts"])
        return Certificate(**{**stored, "attempts": attempts})

    def add(self, certificate: Certificate, policy: Policy, confidence: float, allowed: int) -> None:
        """Write down what was spent: each attempt its share of the probability that was left."""
        self._spent += len(certificate.attempts) * (1 - confidence) / allowed
        if certificate.holds:
            self._held[policy.key] = certificate.to_json()
        write_json(self._path, {"spent": self._spent, "held": self._held})
