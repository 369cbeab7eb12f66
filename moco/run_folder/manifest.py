"""The content of RUN/manifest.json: where a search comes from, and how to run it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moco.run_folder.record import Record, left_out


@dataclass(frozen=True, kw_only=True)
class SplitRecord(Record):
    """How many images of a split, and their hash."""

    images: int | None = None
    hash: str | None = None


@dataclass(frozen=True, kw_only=True)
class DataRecord(Record):
    """The images: their hash by data set (an older manifest has one for both), and the splits."""

    hash: Mapping[str, str] | str | None = None
    splits: Mapping[str, SplitRecord] = field(default_factory=dict)
    description: Mapping[str, Any] | None = left_out()  # of images and classes, as the network's files say it


@dataclass(frozen=True, kw_only=True)
class LayerRecord(Record):
    """A layer of the uncompressed network; `group` is the channel group that its output belongs to."""

    name: str
    group: str | None = None
    kind: str | None = None
    out_channels: int | None = None
    macs: int | None = None
    parameters: int | None = None


@dataclass(frozen=True, kw_only=True)
class NetworkRecord(Record):
    """The uncompressed network; layers in the order of the forward pass, shapes without the batch."""

    name: str | None = None
    input_shape: tuple[int, ...] | None = None
    layers: tuple[LayerRecord, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ProblemRecord(Record):
    """Objectives with their directions, in the order of the losses, and the bounds in words."""

    objectives: Mapping[str, str] = field(default_factory=dict)
    bounds: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GroupRecord(Record):
    """A layer group of the space and what may be done to it; `widths` by channel group."""

    name: str
    layers: tuple[str, ...] = ()
    widths: Any = field(default_factory=dict)
    precisions: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SpaceRecord(Record):
    """The space that was searched; None where it does not say. `policies` is an upper bound unless it is exact."""

    groups: tuple[GroupRecord, ...] | None = None
    policies: int | None = None
    policies_exact: bool = True
    kept: tuple[str, ...] | None = left_out()  # what a base policy sets, in words, a method a text


@dataclass(frozen=True, kw_only=True)
class GivenStart(Record):
    """A start as it was chosen: a search that is resumed has the same ones."""

    name: str
    given: bool
    point: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Manifest(Record):
    """Where a search comes from; `starts` is None where an older manifest does not say."""

    name: str | None = None
    created: str | None = None
    sessions: tuple[str, ...] = ()  # the times at which it was started or resumed
    fingerprint: Mapping[str, str] | None = None  # of all that must stay the same when it is resumed, by part
    reference: Mapping[str, float] | None = None  # its timed metrics, which all ratios are multiplied with
    command: str | None = None
    searcher: str | None = None
    seed: int | None = None
    seeds: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)  # of the target
    data: DataRecord = DataRecord()
    network: NetworkRecord = NetworkRecord()
    problem: ProblemRecord = ProblemRecord()
    space: SpaceRecord = SpaceRecord()  # as in result.json
    payoff: Mapping[str, Any] | None = None  # the content of payoff.json, where one was measured
    starts: tuple[GivenStart, ...] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)  # the resolved experiment

    @staticmethod
    def read(path: Path) -> Manifest:
        """The manifest in that file; an OSError where it cannot be read, else a KeyError, TypeError or ValueError."""
        return Manifest.from_json(json.loads(path.read_text(encoding="utf-8")))

    def setting(self, *path: str) -> Any:
        """What the resolved experiment says at a key path; None where it says nothing."""
        found: Any = self.config
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    @property
    def normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Mean and standard deviation of the images by channel; None where they go in as they are."""
        told = self.data.description or {}
        mean, std = (told.get(name) or self.setting("data", "normalize", name) for name in ("mean", "std"))
        return (tuple(map(float, mean)), tuple(map(float, std))) if mean and std else None
