"""What has been read off the certification images so far, kept in RUN/certification.json.

A search that is resumed ends again, and each delivery tests candidates on the same images. The probability of a false
certificate is a budget: what a delivery has spent is gone, and a later one tests with what is left. A network that was
certified once stays certified; it is not tested again. Nor are the candidates of a delivery in which none held: where
the process was killed before that was written, the next one says the same of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
        kept: dict[str, Any] = {"spent": 0.0, "held": {}, "failed": {}}
        try:
            kept |= json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError) as error:
            raise RunFolderError(f"{self._path}: cannot be read: {error}; it must not be changed by hand") from None
        self._spent, self._held = float(kept["spent"]), dict(kept["held"])
        self._failed = dict(kept["failed"])

    def confidence_left(self, confidence: float) -> float:
        """The confidence that this delivery must ask for, so that all deliveries together keep `confidence`."""
        return 1 - max((1 - confidence) - self._spent, LEAST)

    def has_confidence_left(self, confidence: float) -> bool:
        """Whether earlier endings have left anything to test with."""
        return (1 - confidence) - self._spent > LEAST

    def held(self, policy: Policy) -> Certificate | None:
        """The certificate that an earlier delivery gave the policy's network."""
        return _certificate(self._held.get(policy.key))

    def failed(self, candidates: Sequence[Policy], confidence: float, allowed: int) -> Certificate | None:
        """The certificate of an earlier delivery of these candidates, in this order, so asked for: none held."""
        return _certificate(self._failed.get(_asked(candidates, confidence, allowed)))

    def add(
        self, certificate: Certificate, candidates: Sequence[Policy], delivered: Policy, confidence: float, allowed: int
    ) -> None:
        """Write down what was spent of 1 - `confidence` on `candidates`: each attempt its share of what was left."""
        left = 1 - self.confidence_left(confidence)
        self._spent += len(certificate.attempts) * left / min(allowed, len(candidates))
        if certificate.holds:
            self._held[delivered.key] = certificate.to_json()
        else:
            self._failed[_asked(candidates, confidence, allowed)] = certificate.to_json()
        failed = {"failed": self._failed} if self._failed else {}
        write_json(self._path, {"spent": self._spent, "held": self._held, **failed})


def _asked(candidates: Sequence[Policy], confidence: float, allowed: int) -> str:
    return " ".join([f"{confidence:g}", str(allowed), *(policy.key for policy in candidates)])


def _certificate(stored: Mapping[str, Any] | None) -> Certificate | None:
    if stored is None:
        return None
    return Certificate(**{**stored, "attempts": tuple(Attempt(**attempt) for attempt in stored["attempts"])})
