"""Running a network from any layer on gives what running it whole gives."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from moco.analysis.sensitivity.prefix_reuse import (
    Edited,
    Engine,
    Journey,
    TracedEngine,
    Variation,
    WholeEngine,
    engine_of,
)
from moco.analysis.sensitivity.variations import pruned, touched
from moco.compression.compressor import Compressor
from moco.errors import CompressionError
from moco.export.folding import fold, foldable_pairs
from moco.models import build_model, load_weights
from tests.compression.toys import Chain, Concat, Scaled, Shared, images, made, randomized, tiny


class Overwriting(nn.Module):
    """Two branches wait for each other, and what waits is overwritten later by every way of doing so."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.left, self.right = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        left, waiting = self.left(x), x - 0.1
        right = self.right(x)
        waiting += self.relu(left)
        x = F.relu(right, inplace=True) + self.relu(waiting)
        return self.head(x.mul_(2.0).mean((2, 3)))


class Branching(nn.Module):
    """Its graph depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x) if x.sum() > 0 else self.conv2(x)
        return self.head(torch.relu(x).mean((2, 3)))


class Ignoring(Concat):
    """Overwrites a tensor and goes on with it, not with what the operation gives."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.left(x), self.right(x)], dim=1)
        torch.relu_(x)
        x.sub_(0.5)
        return self.head(self.both(self.norm(x)).mean((2, 3)))


class Hidden(nn.Module):
    """Its linear layers run inside of torch's own encoder layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 8, stride=8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.stem(x).flatten(2).transpose(1, 2)).mean(1))


def gray() -> Tensor:
    return images(5, channels=1, side=8)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "residual A": (lambda: tiny("A"), gray),
    "residual B": (lambda: tiny("B"), gray),
    "concat": (lambda: made(Concat), lambda: images(5)),
    "depthwise": (
        lambda: made(Chain, nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8))),
        lambda: images(5),
    ),
    "shared": (lambda: made(Shared), lambda: images(5)),
    "overwriting": (lambda: made(Overwriting), lambda: images(5)),
    "scaled": (lambda: made(Chain, nn.Sequential(Scaled(8), nn.PReLU(8))), lambda: images(5)),
    "cifar_resnet20": (lambda: randomized(build_model("cifar_resnet20")), lambda: images(3)),
}


def layers_of(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def halved(network: nn.Module, name: str) -> nn.Module:
    layer = copy.deepcopy(network.get_submodule(name))
    assert isinstance(layer.weight, Tensor)
    layer.weight.data[::2] *= 0.5
    return layer


def whole(network: nn.Module, variation: Variation, batch: Tensor) -> Tensor:
    """The slow obvious way: a copy of the network with the modules put in."""
    changed = copy.deepcopy(network)
    for name, module in variation.modules.items():
        changed.set_submodule(name, module)
    with torch.no_grad():
        return changed(batch)  # type: ignore[no-any-return]


def assert_same(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_changed_from_its_place_on_gives_what_the_whole_changed_network_gives(name: str) -> None:
    network, batch = NETWORKS[name][0](), NETWORKS[name][1]()
    engine = engine_of(network, batch[:2], layers_of(network))
    assert isinstance(engine, TracedEngine)
    journey, reference = Journey(engine, batch, batch=2), whole(network, Variation(), batch)
    for layer in sorted(layers_of(network), key=lambda layer: engine.place([layer])):
        journey.to([layer])
        variation = Variation({layer: halved(network, layer)})
        expected = whole(network, variation, batch)
        assert float((expected - reference).abs().max()) > 1e-4
        for _ in range(2):
            assert_same(journey.logits(variation), expected)
        assert_same(journey.logits(), reference)


@pytest.mark.parametrize("name", ["residual A", "residual B", "concat", "depthwise", "scaled", "cifar_resnet20"])
@pytest.mark.parametrize("folded", [False, True])
def test_every_channel_group_pruned_from_its_place_on_gives_what_surgery_of_the_whole_gives(
    name: str, folded: bool
) -> None:
    network, batch = NETWORKS[name][0](), NETWORKS[name][1]()
    compressor = Compressor.of(network, batch[:2])
    graph = compressor.graph
    subject = fold(network, foldable_pairs(network, batch[:2])) if folded else network
    engine = engine_of(subject, batch[:2], layers_of(network))
    journey = Journey(engine, batch)
    for group in sorted(graph.groups, key=lambda group: engine.place(touched(graph, group))):
        journey.to(touched(graph, group))
        kept = compressor.ranking[group][: len(compressor.ranking[group]) // 2]
        kept.sort()
        with torch.no_grad():
            expected = graph.thin(network, {group: kept})(batch)
        got = journey.logits(pruned(subject, graph, group, kept))
        assert_same(got, expected) if not folded else torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_scales_are_pruned_in_a_network_that_is_run_whole_too() -> None:
    network, batch = NETWORKS["scaled"][0](), images(3)
    compressor = Compressor.of(network, batch[:2])
    journey = Journey(WholeEngine(network, "for comparison"), batch)
    before, kept = journey.logits(), np.array([1, 2, 6])
    with torch.no_grad():
        expected = compressor.graph.thin(network, {"stem": kept})(batch)

    assert_same(journey.logits(pruned(network, compressor.graph, "stem", kept)), expected)
    assert_same(journey.logits(), before)


def test_a_resnet20_as_trained_is_the_same_in_parts(cifar10: Path) -> None:
    network = build_model("cifar_resnet20")
    load_weights(network, cifar10 / "resnet20_cifar10.safetensors")
    network.eval()
    engine = engine_of(network, images(2), layers_of(network))
    journey = Journey(engine, images(2))
    for layer in layers_of(network):
        if "shortcut" not in layer:
            journey.to([layer])
            variation = Variation({layer: halved(network, layer)})
            assert_same(journey.logits(variation), whole(network, variation, images(2)))


def test_what_lies_before_a_layer_runs_once() -> None:
    engine = TracedEngine(tiny())
    counted: list[int] = []
    engine.submodules["conv1"].register_forward_hook(lambda *_: counted.append(1))
    journey = Journey(engine, gray(), batch=5)
    journey.to(["layer2.0.conv1"])
    for _ in range(3):
        journey.logits()
    assert len(counted) == 1
    restless = Journey(engine, gray(), batch=5, reuse=False)
    restless.to(["layer2.0.conv1"])
    assert [restless.logits().shape for _ in range(3)] == [(5, 10)] * 3
    assert len(counted) == 4


def test_only_what_later_nodes_read_is_held() -> None:
    engine = TracedEngine(tiny())
    env = engine.begin(gray())
    engine.advance(env, 0, engine.place(["layer2.0.conv1"]))
    assert len(env) == 1  # the block's input, which its shortcut reads too
    engine.advance(env, engine.place(["layer2.0.conv1"]), engine.place(["layer2.0.conv2"]))
    assert len(env) == 2  # the block's input and the first convolution's output


def test_an_edit_stands_behind_the_activation_that_alone_reads_a_layer() -> None:
    network = tiny()
    seen: dict[str, Tensor] = {}

    def noting(name: str) -> Callable[[Tensor], Tensor]:
        def note(x: Tensor) -> Tensor:
            seen[name] = x
            return x + 1.0

        return note

    folded = fold(network, foldable_pairs(network, gray()))
    names = ["conv1", "layer1.0.conv1", "layer1.0.conv2", "linear"]
    engine = engine_of(folded, gray(), names)
    Journey(engine, gray()).logits(Variation({}, {name: noting(name) for name in names}))
    assert float(seen["layer1.0.conv1"].min()) == 0.0  # behind its rectifier
    assert float(seen["conv1"].min()) == 0.0
    assert float(seen["layer1.0.conv2"].min()) < 0.0  # before the sum, which reads the shortcut too
    assert "linear" not in seen  # the logits stay as they are
    changed = Journey(engine, gray()).logits(Variation({}, {"conv1": lambda x: x * 0.5}))
    assert float((changed - Journey(engine, gray()).logits()).abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (Branching, "torch.fx cannot trace it: TraceError"),
        (Ignoring, "gives other logits"),
        (Hidden, "'encoder.self_attn.out_proj' runs inside a module that torch.fx does not open"),
    ],
)
def test_what_cannot_be_cut_is_run_whole_with_the_reason(network: type[nn.Module], why: str) -> None:
    subject, batch = made(network), images(4)
    engine = engine_of(subject, batch[:2], layers_of(subject))
    assert isinstance(engine, WholeEngine)
    assert why in str(engine.why_whole)
    journey = Journey(engine, batch, batch=4)
    journey.to(["head"])
    variation = Variation({"head": halved(subject, "head")}, {"head": lambda x: x - 2.0})
    assert_same(journey.logits(variation), whole(subject, Variation(variation.modules), batch) - 2.0)
    assert_same(journey.logits(), whole(subject, Variation(), batch))


def test_a_whole_run_leaves_the_network_as_it_was_when_a_module_fails() -> None:
    def broken(x: Tensor) -> Tensor:
        raise ValueError("no")

    network = made(Branching)
    engine: Engine = WholeEngine(network, "asked")
    journey = Journey(engine, images(2))
    with pytest.raises(ValueError, match="no"):
        journey.logits(Variation({"head": Edited(broken)}))
    assert_same(journey.logits(), whole(network, Variation(), images(2)))


def test_a_journey_does_not_go_back_and_refuses_what_has_run() -> None:
    network = tiny()
    journey = Journey(TracedEngine(network), gray())
    journey.to(["layer2.0.conv1"])
    with pytest.raises(CompressionError, match="'conv1' runs before the place that was reached already"):
        journey.to(["conv1"])
    with pytest.raises(CompressionError, match=r"layer1\.0\.conv1 has run already"):
        journey.logits(Variation({"layer1.0.conv1": network.get_submodule("layer1.0.conv1")}))
    with pytest.raises(CompressionError, match="none of nothing takes part"):
        journey.to(["nothing"])


class Optional(nn.Module):
    """A network with a second input that has a default, as those of some libraries have."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        del labels
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


def test_an_input_with_a_default_is_left_at_it() -> None:
    network = made(Optional)
    engine = engine_of(network, images(2), ["conv", "head"])
    assert isinstance(engine, TracedEngine)
    journey = Journey(engine, images(2))
    journey.to(["head"])
    assert_same(journey.logits(), whole(network, Variation(), images(2)))
