"""What has been read off the certification images so far, kept in RUN/certification.json.

A search that is resumed ends again, and each delivery tests candidates on the same images. The probability of a false
certificate is a budget: what a delivery has spent is gone, and a later one tests with what is left. A sequence of which
all hold has spent nothing: what is tested later goes on with it, and to certify a network below the floor the first
such in all sequences has to hold. One that ended at a network which does not hold has spent all. A network that was
certified once stays certified, and one that missed the floor is not tried again. A delivery of the same trials says
what the earlier one said, as where the process was killed before that was written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from moco.certification.certificate import Attempt, Certificate
from moco.errors import RunFolderError
from moco.policy import Policy
from moco.run_folder.writing import write_json

CERTIFICATION = "certification.json"
LEAST = 1e-9
"""Probability that is still tested with when all is spent: its bound is so wide that nothing holds by chance."""


@dataclass(frozen=True)
class Question:
    """What a delivery asks: which of these policies holds, so surely, in at most so many attempts."""

    policies: tuple[Policy, ...]  # of all trials that may be delivered, whatever their order
    confidence: float
    attempts: int

    @property
    def key(self) -> str:
        """By which it is known again."""
        text = " ".join([f"{self.confidence:g}", str(self.attempts), *sorted(policy.key for policy in self.policies)])
        return sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """What a delivery has said: its certificate, and the policies of the attempts in their order."""

    certificate: Certificate
    tried: tuple[str, ...]  # keys

    @property
    def delivered(self) -> str:
        """Key of the policy that the certificate is about."""
        return self.tried[self.certificate.attempts.index(self.certificate.reported)]


class CertificationLog:
    """The attempts of all endings of one search."""

    def __init__(self, folder: Path) -> None:
        """Read what earlier endings left; a RunFolderError where that cannot be read."""
        self._path = folder / CERTIFICATION
        kept: dict[str, Any] = {"spent": 0.0, "held": {}, "missed": [], "answers": {}}
        try:
            kept |= json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError) as error:
            raise RunFolderError(f"{self._path}: cannot be read: {error}; it must not be changed by hand") from None
        self._others = kept  # also what older versions wrote
        self._spent, self._held = float(kept["spent"]), dict(kept["held"])
        self._missed, self._answers = list(kept["missed"]), dict(kept["answers"])

    def confidence_left(self, confidence: float) -> float:
        """The confidence that this delivery must ask for, so that all deliveries together keep `confidence`."""
        return 1 - max((1 - confidence) - self._spent, LEAST)

    def has_confidence_left(self, confidence: float) -> bool:
        """Whether earlier endings have left anything to test with."""
        return (1 - confidence) - self._spent > LEAST

    def held(self, policy: Policy) -> Certificate | None:
        """The certificate that an earlier delivery gave the policy's network."""
        stored = self._held.get(policy.key)
        return None if stored is None else _certificate(stored)

    def missed(self, policy: Policy | None) -> bool:
        """Whether an earlier delivery tried the policy's network, and it did not hold."""
        return policy is not None and policy.key in self._missed

    def answer(self, question: Question) -> Answer | None:
        """What an earlier delivery of the same trials, so asked for, has said."""
        stored = self._answers.get(question.key)
        return None if stored is None else Answer(_certificate(stored["certificate"]), tuple(stored["tried"]))

    def add(self, question: Question, certificate: Certificate, tried: Sequence[Policy], *, all_hold: bool) -> None:
        """Write down what was `tried`, a policy for each attempt, and spent.

        That is all of the error probability that was left, but nothing where all candidates hold: the last of them has
        passed all of it on.
        """
        self._spent += 0.0 if all_hold else 1 - self.confidence_left(question.confidence)
        answer = Answer(certificate, tuple(policy.key for policy in tried))
        if certificate.holds:
            self._held[answer.delivered] = certificate.to_json()
        misses = [key for key, attempt in zip(answer.tried, certificate.attempts, strict=True) if not attempt.holds]
        self._missed += [key for key in misses if key not in self._missed]
        self._answers[question.key] = {"tried": list(answer.tried), "certificate": certificate.to_json()}
        now = {"spent": self._spent, "held": self._held, "missed": self._missed, "answers": self._answers}
        write_json(self._path, {**self._others, **now})


def _certificate(stored: Mapping[str, Any]) -> Certificate:
    return Certificate(**{**stored, "attempts": tuple(Attempt(**attempt) for attempt in stored["attempts"])})
