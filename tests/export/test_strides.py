"""Pixels that are left out, as max-pools: the same values, in floats and in codes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch

from moco.export.quantize import quantizable_layers
from moco.export.template import Template, build_template
from moco.hardware.wire.forms import capabilities_json, capabilities_of
from moco.interfaces import Capabilities
from moco.models import build_model, load_weights
from tests.compression.toys import images, tiny
from tests.export.graphs import expected, quantized, run

BATCH = images(5, 1, 8, 3).numpy()


@cache
def template(*, pooled: bool) -> Template:
    return build_template(tiny(), images(2, 1, 8), pooled_strides=pooled)


def ops(proto: object) -> list[str]:
    return [node.op_type for node in proto.graph.node]  # type: ignore[attr-defined]


def test_the_slices_of_a_shortcut_become_one_max_pool_with_the_same_logits() -> None:
    sliced, pooled = (template(pooled=form).render(tiny()) for form in (False, True))
    assert ops(sliced).count("Slice") == 2
    assert "Slice" not in ops(pooled)
    assert ops(pooled).count("MaxPool") == 1
    np.testing.assert_allclose(run(pooled, BATCH), expected(tiny(), BATCH), atol=1e-5)
    assert np.array_equal(run(pooled, BATCH), run(sliced, BATCH))


def test_codes_pass_the_pool_as_they_pass_the_slices() -> None:
    sliced, pooled = (template(pooled=form).render(tiny()) for form in (False, True))
    layers = quantizable_layers(sliced)
    both = [quantized(proto, layers, BATCH) for proto in (sliced, pooled)]
    assert ops(both[0]).count("QuantizeLinear") == ops(both[1]).count("QuantizeLinear")
    assert np.array_equal(run(both[0], BATCH), run(both[1], BATCH))


def test_trained_weights_give_the_modules_logits(cifar10: Path) -> None:
    network = build_model("cifar_resnet20")
    load_weights(network, cifar10 / "resnet20_cifar10.safetensors")
    batch = images(4, 3, 32, 1).numpy()
    proto = build_template(network.eval(), torch.from_numpy(batch[:2]), pooled_strides=True).render(network)
    assert "Slice" not in ops(proto)
    np.testing.assert_allclose(run(proto, batch), expected(network, batch), atol=1e-5, rtol=1e-5)


def test_the_choice_travels_to_a_device_elsewhere() -> None:
    plain = Capabilities(("float32",), {"float32": 1}, {"float32": frozenset()}, frozenset())
    pooled = Capabilities(("float32",), {"float32": 1}, {"float32": frozenset()}, frozenset(), pooled_strides=True)
    assert [capabilities_of(capabilities_json(can)) for can in (plain, pooled)] == [plain, pooled]
