"""Do the steps of the pay-off probe hold for the whole network? Times a ResNet-56 with one stage's inner width changed.

    python benchmarks/payoff_transfer.py [--seconds 0.3]

Weights are random: time does not depend on them. Ratios are to the full network in the same precision.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch

from moco.compression.channels.groups import channel_graph
from moco.compression.counting import count
from moco.export.calibration import calibrate
from moco.export.quantize import observed_tensors, quantizable_layers, quantize
from moco.export.rewrites import written
from moco.export.template import build_template
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.measurement import TimingPlan
from moco.models import build_model

IMAGE = (3, 32, 32)
CASES = [("", 0), ("layer1", 12), ("layer1", 8), ("layer2", 24), ("layer2", 16)]
CASES += [("layer3", width) for width in (56, 48, 40, 32)]


def in_int8(proto: onnx.ModelProto, images: np.ndarray) -> onnx.ModelProto:
    """The graph with all its layers in int8."""
    layers = quantizable_layers(proto)
    return quantize(proto, layers, calibrate(proto, observed_tensors(proto, layers), images).ranges)


def main() -> None:
    """Print a line a stage, width and precision."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.3, help="for each network")
    seconds = parser.parse_args().seconds
    network = build_model("cifar_resnet56", 10).eval()
    graph = channel_graph(network, torch.zeros(2, *IMAGE), count(network, IMAGE))
    images = torch.randn(32, *IMAGE, generator=torch.Generator().manual_seed(0))
    template, target = build_template(network, images[:2]), ONNXRuntimeTarget()
    names, sessions = [], []
    with tempfile.TemporaryDirectory() as folder:
        for stage, width in CASES:
            inner = [group for group in graph.groups if stage and group.startswith(stage) and group.endswith("conv1")]
            proto = template.render(graph.thin(network, dict.fromkeys(inner, np.arange(width))))
            for precision, made in (("float32", proto), ("int8", in_int8(proto, images.numpy()))):
                names.append((stage, width, precision))
                sessions.append(target.load(written(made, Path(folder))))
    measurement = target.measure(sessions, TimingPlan(seconds=seconds, min_slots=10))
    for index, (stage, width, precision) in enumerate(names[2:], start=2):
        ratio = measurement.ratio(index, names.index(("", 0, precision)))
        print(f"{stage} {width:2d} {precision:8s} {ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]")
    int8 = measurement.ratio(1, 0)
    print(f"whole network in int8 / float32 {int8.value:.3f} [{int8.low:.3f}, {int8.high:.3f}]")
    print("\n".join(measurement.warnings))


if __name__ == "__main__":
    main()
