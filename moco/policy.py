"""A canonical policy: what is really done to a network, as hashable JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Policy:
    """Settings by name in canonical form: equal policies have equal text.

    For a network the names are layers and the settings what is done to them; what is left alone is left out.
    For a plain space the names are the parameters.
    """

    text: str
    weights: str | None = None
    """SHA-256 of the file of weights that a training gave its network; None where the settings alone make them.

    Of a sibling of the network that is searched, the hash of that network.
    """

    @staticmethod
    def of(settings: Mapping[str, Any]) -> Policy:
        """The policy with these settings (JSON values by name)."""
        return Policy(json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings by name, a new dict each time: who is given it may change it, and changes no policy."""
        return dict(json.loads(self.text))

    @cached_property
    def key(self) -> str:
        """SHA-256 of the canonical text, and of the trained weights where there are some."""
        return hashlib.sha256(f"{self.text}{self.weights or ''}".encode()).hexdigest()

    @property
    def untrained(self) -> Policy:
        """The policy without the weights of a training."""
        return Policy(self.text)


def in_words(key: str, value: Any) -> str:
    """A setting of a layer in a few words, for example `sparsity 12/16`: what is kept of how many, else its value."""
    name = key.replace("_", " ")
    if isinstance(value, Mapping) and {"keep", "of"} <= value.keys():
        return f"{name} {value['keep']}/{value['of']}"
    return f"{name} {plain_words(value)}"


def plain_words(value: Any) -> str:
    """A value of a setting or of a parameter, for people."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
