"""Pillow's modes as numbers in [0, 1], and what resizing makes of a size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moco.data.pixels import Resizing, UnfitImageError, channels_of, pixels_of
from tests.data.image_files import picture


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("1", 1), ("L", 1), ("LA", 1), ("I;16", 1), ("P", 3), ("RGB", 3), ("CMYK", 3), ("YCbCr", 3), ("RGBA", 4)],
)
def test_channels_are_those_that_a_user_sees(mode: str, channels: int) -> None:
    assert channels_of(mode) == channels


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "P", "RGB", "CMYK", "RGBA"])
def test_every_mode_becomes_any_number_of_channels(mode: str, channels: int) -> None:
    pixels = pixels_of(picture(0, mode), channels)

    assert (pixels.shape, pixels.dtype) == ((6, 8, channels), np.float32)
    assert 0 <= pixels.min() < pixels.max() <= 1
    if channels in (2, 4):
        assert (pixels[:, :, -1] == 1).all(), "what has no transparency is opaque"


def test_sixteen_bits_are_divided_by_65535() -> None:
    """Pillow's own conversion to 8 bits would make nearly all of it white."""
    values = np.array([[0, 5000, 30000, 65535]], dtype=np.uint16)

    pixels = pixels_of(Image.fromarray(values), 1)

    assert np.array_equal(pixels[:, :, 0], values.astype(np.float32) / np.float32(65535))
    assert np.array_equal(pixels_of(Image.fromarray(values), 3)[:, :, 2], pixels[:, :, 0])


def test_sixteen_bits_are_resized_as_eight_are() -> None:
    eight = picture(1, "L")
    sixteen = Image.fromarray(np.asarray(eight).astype(np.uint16) * 257)

    resized = [pixels_of(image, 1, Resizing((3, 5), 2)) for image in (eight, sixteen)]

    assert resized[0].shape == (2, 2, 1)
    assert np.allclose(*resized, atol=1 / 255)


def test_one_bit_is_black_or_white() -> None:
    assert set(np.unique(pixels_of(picture(0, "1"), 1))) == {0, 1}


def test_a_palette_with_transparency_keeps_its_colours() -> None:
    colours = picture(0).convert("P", palette=Image.Palette.ADAPTIVE)
    colours.info["transparency"] = b"\x00" + b"\xff" * 255

    assert np.array_equal(pixels_of(colours, 3), pixels_of(colours.convert("RGBA").convert("RGB"), 3))


@pytest.mark.parametrize(("mode", "kind"), [("I", "32-bit integers"), ("F", "floats")])
def test_an_unknown_range_is_refused(mode: str, kind: str) -> None:
    with pytest.raises(
        UnfitImageError, match=rf"holds {kind} \(mode {mode}\), whose range is not known; store it with 8"
    ):
        pixels_of(picture(0, mode), 1)


@pytest.mark.parametrize(
    ("resize", "crop", "size"),
    [
        (None, None, (6, 8)),
        (3, None, (3, 4)),
        ((5, 4), None, (5, 4)),
        (12, 10, (10, 10)),
        (None, (4, 8), (4, 8)),
        ((9, 7), (9, 6), (9, 6)),
    ],
)
def test_sizes_are_a_number_or_height_and_width(resize: object, crop: object, size: tuple[int, int]) -> None:
    resizing = Resizing(resize, crop)  # type: ignore[arg-type]

    assert resizing.size((6, 8)) == size
    assert pixels_of(picture(0), 3, resizing).shape[:2] == size


def test_a_crop_larger_than_the_image_is_refused() -> None:
    """Pillow would frame it in black."""
    with pytest.raises(UnfitImageError, match=r"the image is 6x8 pixels \(height x width\), data\.crop asks for 7x7"):
        Resizing(crop=7).size((6, 8))


def test_a_pgm_of_16_bits_has_the_range_of_16_bits(tmp_path: Path) -> None:
    """Pillow opens it in mode I, whose range is not known in other formats."""
    values = np.array([[0, 1000], [40000, 65535]], dtype=">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 2 2 65535\n" + values.tobytes())

    with Image.open(tmp_path / "a.pgm") as image:
        assert np.allclose(pixels_of(image, 1)[:, :, 0], values / 65535)
