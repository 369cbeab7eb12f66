"""A trained ResNet-20 at fewer bits on 500 real images: what each range estimator saves (W32; runtimes.md §3).

Measured on the first 500 test images, in percent top-1 (standard error about 1.3; float 91.6), ranges of 256 training
images, all layers alike. Weights and activations by the whole range | both by output error:
w8a8 90.8 | 91.4, w6a8 92.0 | 91.6, w4a8 89.6 | 90.8, w4a4 81.8 | 87.0, w4a3 54.6 | 79.2, w3a8 70.6 | 84.6. The 99.9th
percentile of activations at w4a3: 72.4. (ResNet-56 by fake quantization: w8a8 93.75, w6a8 93.85, w4a8 92.15, w4a4
89.2, w3a8 81.95.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from moco.compression.precision import Bits
from moco.data import Normalization, parquet
from moco.export.calibration import open_session
from moco.export.quantize import quantizable_layers, quantize
from moco.export.ranges import RangeOptions, estimate
from moco.export.template import build_template
from moco.models import build_model, load_weights

IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
ERROR = RangeOptions("output_error", "output_error")
WHOLE = RangeOptions()


class Case:
    """ResNet-20's float graph, 256 images to calibrate and 500 to score."""

    def __init__(self, folder: Path) -> None:
        network = build_model("cifar_resnet20")
        load_weights(network, folder / "resnet20_cifar10.safetensors")
        train, test = (parquet.load(folder / f"{part}.parquet", normalize=IMAGENET) for part in ("train", "test"))
        self.calibration = train.images(np.arange(256))
        self.images, self.labels = test.images(np.arange(500)), test.labels[:500]
        self.proto = build_template(network.eval(), torch.from_numpy(self.calibration[:2])).render(network)

    def top1(self, bits: Bits | None, options: RangeOptions = WHOLE) -> float:
        """Percent of the images that all layers at these bits get right; None is float."""
        proto = self.proto
        if bits is not None:
            layers = dict.fromkeys(quantizable_layers(proto), bits)
            found = estimate(proto, layers, self.calibration, options)
            proto = quantize(proto, layers, found.ranges, found.weight_shares)
        session = open_session(proto)
        classes = [session.run(None, {"input": batch})[0].argmax(1) for batch in np.array_split(self.images, 5)]
        return 100 * float(np.mean(np.concatenate(classes) == self.labels))


@pytest.mark.slow
def test_accuracy_falls_with_bits_as_measured_and_output_error_saves_what_few_bits_lose(cifar10: Path) -> None:
    case = Case(cifar10)
    whole = [case.top1(bits) for bits in (None, Bits(8, 8), Bits(6, 8), Bits(4, 8), Bits(4, 4), Bits(3, 8))]
    by_error = [case.top1(bits, ERROR) for bits in (Bits(8, 8), Bits(4, 8), Bits(4, 4), Bits(3, 8))]
    float32, w8a8, w6a8, w4a8, w4a4, w3a8 = whole

    assert min(w8a8, w6a8, by_error[0]) >= float32 - 1.5
    assert float32 - 4 <= w4a8
    assert 75 <= w4a4 <= w4a8 - 3
    assert 60 <= w3a8 <= w4a8 - 10
    assert by_error[1] >= w4a8 - 0.5
    assert by_error[2] >= w4a4 + 3
    assert by_error[3] >= w3a8 + 10


@pytest.mark.slow
def test_the_rarest_values_are_not_worth_codes_at_three_bits(cifar10: Path) -> None:
    case = Case(cifar10)

    assert case.top1(Bits(4, 3), RangeOptions("percentile", percentile=99.9)) >= case.top1(Bits(4, 3)) + 2
