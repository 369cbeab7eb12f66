"""The plug-ins of an experiment, as it carries them once it has been read."""

from __future__ import annotations

from dataclasses import dataclass

from moco.compression.methods.method import Method
from moco.registry import Chosen
from moco.strategy import Strategy


@dataclass(frozen=True)
class Plugins:
    """All that an experiment names of the registry, each with its checked options.

    Attributes:
        methods: in the order of the registry.
        recovery: the steps; of one that takes a function of the user's, the options are its import path.
    """

    methods: tuple[Method, ...]
    objective: Chosen
    searcher: Strategy
    target: Chosen
    recovery: tuple[Chosen, ...]
