"""ONNX Runtime's own static quantization of a float file: what its users do first, and a search must beat at least.

The settings are those that serve best on x86: pre-processed; codes unsigned for activations and signed for weights; a
scale a channel; ranges from the lowest to the highest value; quantize and dequantize nodes around every operator.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx

from moco.errors import CompressionError, in_one_line
from moco.export.calibration import BATCH
from moco.export.rewrites import written
from moco.export.template import INPUT
from moco.interfaces import Artifact


def statically_quantized(file: Path, images: np.ndarray, folder: Path) -> Artifact:
    """The float file's int8 form in `folder`, by `quantize_static` on calibration images (n, channels, height, width).

    A CompressionError where ONNX Runtime cannot quantize it, whatever it raises.
    """
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        prepared, quantized = Path(scratch) / "prepared.onnx", Path(scratch) / "quantized.onnx"
        try:
            _quantize(file, images, prepared, quantized)
            proto = onnx.load(quantized)
        except Exception as error:  # its passes raise exceptions of any class
            raise CompressionError(f"ONNX Runtime's quantize_static fails: {in_one_line(error)}") from error
    return written(proto, folder)


def _quantize(file: Path, images: np.ndarray, prepared: Path, quantized: Path) -> None:
    # It takes a quarter of a second to import, and searches without this baseline have no use for it.
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    # moco's files have all shapes but the batch: inferring them by symbols, which takes one more package, adds nothing.
    quant_pre_process(str(file), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(quantized),
        _Reader(images),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )


class _Reader:
    """The images in batches, as `quantize_static` asks for them."""

    def __init__(self, images: np.ndarray) -> None:
        self._batches = ({INPUT: images[start : start + BATCH]} for start in range(0, len(images), BATCH))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch; None after the last."""
        return next(self._batches, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the quantizer says on the root logger of each file, however well it does."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
