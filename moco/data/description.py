"""What a network's images and classes are, in the words of the files that it is delivered in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

from moco.data.image_set import ImageSet

PREFIX = "moco."
"""What the keys begin with in a file's metadata; each value is JSON."""


@dataclass(frozen=True)
class InputDescription:
    """What the network takes and gives; None is what is not known or not done."""

    classes: tuple[str, ...] | None = None  # names, in the order of the outputs
    channels: int | None = None
    size: tuple[int, int] | None = None  # height and width that it takes, in pixels
    mean: tuple[float, ...] | None = None  # of pixels in [0, 1], by channel: what they are normalised by
    std: tuple[float, ...] | None = None
    resize: int | tuple[int, int] | None = None  # before the crop: the shorter side, or (height, width)
    crop: int | tuple[int, int] | None = None  # from the middle: the side of the square, or (height, width)

    @staticmethod
    def of(images: ImageSet) -> InputDescription:
        """What is known of the images; nothing where that is no more than the graph's own input shape says."""
        mean = None if images.normalize is None else images.normalize.mean
        std = None if images.normalize is None else images.normalize.std
        resizing = images.resizing
        resize, crop = (None, None) if resizing is None else (resizing.resize, resizing.crop)
        if all(value is None for value in (images.class_names, mean, resize, crop)):
            return UNKNOWN
        channels, height, width = images.shape
        return InputDescription(images.class_names, channels, (height, width), mean, std, resize, crop)

    def to_json(self) -> dict[str, Any]:
        """What is known, by name."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return {n: list(v) if isinstance(v, tuple) else v for n, v in known.items() if v is not None}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> InputDescription:
        """The description that `to_json` wrote; other keys are passed over."""
        known = {field.name: values.get(field.name) for field in fields(InputDescription)}
        plain: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in known.items()}
        return InputDescription(**plain)

    @property
    def metadata(self) -> dict[str, str]:
        """As texts by key, for a file that holds texts alone."""
        return {f"{PREFIX}{name}": json.dumps(value, ensure_ascii=False) for name, value in self.to_json().items()}

    @staticmethod
    def read(metadata: Mapping[str, str]) -> InputDescription:
        """What the texts of a file say; other keys are passed over, and so is what is no JSON."""
        found: dict[str, Any] = {}
        for key, text in metadata.items():
            with suppress(ValueError):
                found[key.removeprefix(PREFIX)] = json.loads(text) if key.startswith(PREFIX) else None
        return InputDescription.from_json(found)


UNKNOWN = InputDescription()
