"""A Pillow image as numbers in [0, 1]: how many channels, how deep, cut to which size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Size = tuple[int, int]  # height, width
SIXTEEN_BITS = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
SCALED_TO_16_BITS = frozenset({"PNG", "PPM"})
"""Formats whose images in mode I are 16-bit ones that Pillow holds in 32 bits: their range is known."""
GREY = SIXTEEN_BITS | {"1", "L", "LA", "La", "I", "F"}
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Pillow's mode by channels; no image file has more that Pillow reads."""


class UnfitImageError(ValueError):
    """An image that is whole, and cannot be taken as it is; the text says why and what to do."""


@dataclass(frozen=True)
class Resizing:
    """What is done to an image before it becomes a tensor; sizes in pixels."""

    resize: int | Size | None = None  # the shorter side after scaling, or (height, width); None keeps the size
    crop: int | Size | None = None  # side of the square cut from the middle, or (height, width); None keeps all

    def __call__(self, image: Image.Image) -> Image.Image:
        """The image, scaled and cut."""
        height, width = self._scaled((image.height, image.width))
        if self.resize is not None:
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        if self.crop is not None:
            down, across = _pair(self.crop)
            left, top = (image.width - across) // 2, (image.height - down) // 2
            image = image.crop((left, top, left + across, top + down))
        return image

    def size(self, size: Size) -> Size:
        """What an image of that size becomes; an UnfitImageError where it is smaller than what is cut."""
        height, width = self._scaled(size)
        if self.crop is None:
            return height, width
        down, across = _pair(self.crop)
        if down > height or across > width:
            raise UnfitImageError(
                f"the image is {height}x{width} pixels (height x width), data.crop asks for {down}x{across}; "
                "set data.resize, or a smaller crop"
            )
        return down, across

    def _scaled(self, size: Size) -> Size:
        if not isinstance(self.resize, int):
            return size if self.resize is None else self.resize
        scale = self.resize / min(size)
        return max(round(size[0] * scale), self.resize), max(round(size[1] * scale), self.resize)


def channels_of(mode: str) -> int:
    """Channels of an image in that mode of Pillow: 1 of grey ones, 4 with transparency beside colour, else 3."""
    return 1 if mode in GREY else 4 if mode in ("RGBA", "RGBa") else 3


def check_range(image: Image.Image) -> None:
    """Pass an image whose range of values is known, by its header; else an UnfitImageError says what to do."""
    if image.mode == "F" or (image.mode == "I" and image.format not in SCALED_TO_16_BITS):
        kind = "floats" if image.mode == "F" else "32-bit integers"
        raise UnfitImageError(
            f"the image holds {kind} (mode {image.mode}), whose range is not known; "
            "store it with 8 or 16 bits, or give tensors from Python (data.import)"
        )


def pixels_of(image: Image.Image, channels: int, resizing: Resizing | None = None) -> NDArray[np.float32]:
    """The image (height, width, channels) in [0, 1], float32: 8 bits divided by 255, 16 bits by 65,535.

    Transparency is dropped where it is not asked for, and full where it is asked for and not there. An
    UnfitImageError refuses an image whose range is not known.
    """
    check_range(image)
    resizing = resizing or Resizing()
    if image.mode in SIXTEEN_BITS or image.mode == "I":
        return _deep(image, channels, resizing)
    if image.mode in ("P", "PA") and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow's own advice: a palette's transparency has no other form
    elif image.mode == "CMYK" and channels != 3:
        image = image.convert("RGB")
    array = np.asarray(resizing(image.convert(MODES[channels])))
    return (array if array.ndim == 3 else array[:, :, None]).astype(np.float32) / np.float32(255)


def _deep(image: Image.Image, channels: int, resizing: Resizing) -> NDArray[np.float32]:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise UnfitImageError(f"the image holds values from {values.min()} to {values.max()}, expected 16 bits")
    grey = Image.fromarray(values.astype(np.float32) / np.float32(65535))
    pixels = np.asarray(resizing(grey), dtype=np.float32)[:, :, None]
    colours, opaque = pixels.repeat(1 if channels < 3 else 3, axis=2), np.ones_like(pixels)
    return np.concatenate([colours, opaque], axis=2) if channels in (2, 4) else colours


def _pair(sides: int | Size) -> Size:
    return (sides, sides) if isinstance(sides, int) else sides
