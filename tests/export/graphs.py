"""Graphs of test networks, exported once a session, and how they are run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from moco.compression.compressor import Compressor
from moco.export.calibration import calibrate, open_session
from moco.export.quantize import observed_tensors, quantize
from moco.export.template import Template, build_template
from tests.compression.toys import Concat, Shared, images, made, seeded, tiny
from tests.policies import policy_of

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "tiny A": (tiny, (1, 8, 8)),
    "tiny B": (partial(tiny, "B"), (1, 8, 8)),
    "concat": (partial(made, Concat), (3, 8, 8)),
    "shared": (partial(made, Shared), (3, 8, 8)),
    "mobilenet_v2": (partial(seeded, "mobilenet_v2", num_classes=10), (3, 32, 32)),
}

LARGE = pytest.param("mobilenet_v2", marks=pytest.mark.slow)
"""The one that takes seconds a test."""
NAMES = [LARGE if name in LARGE.values else name for name in NETWORKS]


@cache
def compressor_of(name: str) -> Compressor:
    build, shape = NETWORKS[name]
    return Compressor.of(build(), images(2, shape[0], shape[1]))


@cache
def template_of(name: str) -> Template:
    shape = NETWORKS[name][1]
    return build_template(compressor_of(name).network, images(2, shape[0], shape[1]))


def pruned(name: str, seed: int) -> nn.Module:
    """The network with a random width for every group."""
    compressor, rng = compressor_of(name), np.random.default_rng(seed)
    groups = compressor.graph.groups
    widths = {key: (int(rng.integers(1, group.channels + 1)), group.channels) for key, group in groups.items()}
    return compressor.compress(policy_of(widths, {}))


def images_of(name: str, n: int, seed: int = 1) -> np.ndarray:
    shape = NETWORKS[name][1]
    return images(n, shape[0], shape[1], seed).numpy()


def run(proto: onnx.ModelProto, batch: np.ndarray) -> np.ndarray:
    """Logits on ONNX Runtime."""
    logits: np.ndarray = open_session(proto).run(None, {"input": batch})[0]
    return logits


@torch.no_grad()
def expected(network: nn.Module, batch: np.ndarray) -> np.ndarray:
    """Logits on torch."""
    logits: np.ndarray = network(torch.from_numpy(batch)).numpy()
    return logits


def quantized(proto: onnx.ModelProto, layers: Sequence[str], calibration: np.ndarray) -> onnx.ModelProto:
    """The graph with these layers in int8, calibrated on the images."""
    return quantize(proto, layers, calibrate(proto, observed_tensors(proto, layers), calibration).ranges)


def optimized(proto: onnx.ModelProto, path: str) -> onnx.ModelProto:
    """The graph as ONNX Runtime runs it."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = path
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(path)
