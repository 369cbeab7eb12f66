"""The whole network in int8 by ONNX Runtime's own `quantize_static`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from moco.baselines.baseline import Baseline, Ground, Made, costs_of
from moco.compression.costs import OF_ANY_PRECISION
from moco.compression.policy_settings import NEUTRAL
from moco.compression.precision import INT8
from moco.compression.space.codec import cost_of
from moco.export.static_quantization import statically_quantized
from moco.interfaces import Capabilities

QUANTIZE_STATIC = "quantize_static"


@dataclass(frozen=True)
class StaticInt8(Baseline):
    """The float file, quantized on the calibration images."""

    def fits(self, capabilities: Capabilities) -> bool:
        """Where int8 is legal."""
        return INT8 in capabilities.precisions

    def make(self, ground: Ground) -> Iterator[Made]:
        """One file."""
        builder = ground.builder
        float_file, _ = builder.onnx_file(NEUTRAL)  # the reference's own may be one that the target made of it
        file = builder.prepare(statically_quantized(float_file.path, builder.calibration, builder.folder))
        yield Made(self.name, file, costs_of(cost_of(builder.compressor.costs, NEUTRAL), OF_ANY_PRECISION))
