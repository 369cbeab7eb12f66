"""Slopes, scales and norms of channels keep their names in the file, so that each candidate takes the one export."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from moco.compression.compressor import Compressor
from moco.export.template import build_template
from tests.compression.toys import Chain, Scaled, Stacked, images, made
from tests.export.graphs import expected, quantized, run
from tests.policies import policy_of

NETWORKS = {
    "slopes": made(Chain, nn.PReLU(8)),
    "one slope": made(Chain, nn.PReLU()),
    "scales": made(Chain, Scaled(8)),
    "group norm": made(Chain, nn.GroupNorm(4, 8)),
    "two group norms": made(
        Chain, nn.Sequential(nn.GroupNorm(4, 8), nn.Conv2d(8, 8, 1), nn.ReLU(), nn.GroupNorm(4, 8))
    ),
    "instance norm": made(Chain, nn.InstanceNorm2d(8, affine=True)),
    "shuffle": made(Chain, nn.ChannelShuffle(2)),
    "stacked": made(Stacked),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.slow
def test_a_candidate_with_other_numbers_is_made_of_the_template(name: str) -> None:
    network, example = NETWORKS[name], images(2, side=8)
    compressor, template = Compressor.of(network, example), build_template(network, example)
    rng, batch = np.random.default_rng(0), images(3, side=8, seed=1).numpy()
    for _ in range(2):
        groups = compressor.graph.groups
        thin = compressor.compress(
            policy_of({n: (int(rng.integers(1, g.channels)), g.channels) for n, g in groups.items()}, {})
        )
        for parameter in thin.parameters():
            parameter.data *= 1 + 0.1 * torch.rand(parameter.shape, generator=torch.Generator().manual_seed(1))
        proto, wanted = template.render(thin), expected(thin, batch)
        coded = quantized(proto, ["stem", "last"] if name != "stacked" else ["left", "both"], batch)

        np.testing.assert_allclose(run(proto, batch), wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
        assert np.abs(run(coded, batch) - wanted).max() < 0.1 * np.abs(wanted).max()


def test_each_group_norm_has_constants_of_its_own() -> None:
    network = NETWORKS["two group norms"]
    proto = build_template(network, images(2, side=8)).render(network)
    shapes = [numpy_helper.to_array(i).tolist() for i in proto.graph.initializer if i.name.endswith(".group_shape")]

    assert shapes == [[0, 4, -1], [0, 4, -1]]
