"""The compression problems by name, and which of them a searcher may be tuned on (see compression.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.problems.compression import Compression, Knob
from benchmarks.problems.networks import Make
from moco.randomness import generator

TUNING = ("conv19-plain", "conv19-groups", "conv19-region", "deep", "mixed", "names", "choices", "narrow")
HELD_OUT = ("conv25-plain", "conv25-groups", "conv25-region", "vit", "mobile", "sparse")

NOTHING = frozenset[str]()
LAYERS = frozenset({"layers", "directions"})
REGION = LAYERS | {"bound", "corner"}
BITS = (8.0, 6.0, 5.0, 4.0)


def conv19() -> Compression:
    """Nine convolutions, as the issue's space: filters kept from 10 %, weight bits, one number of activation bits."""
    make = Make(9, {"keep": 1.6, "weight_bits": 0.5, "activation_bits": 0.5})
    knobs = [Knob("activation_bits", IntDistribution(2, 8), ("activation_bits",), "bits", tuple(range(9)), "network")]
    for i in range(9):
        layer, group = (i,), f"conv{i}"
        knobs += [
            Knob(f"{group}.keep", IntDistribution(10, 100), ("keep",), "percent", layer, group),
            Knob(f"{group}.weight_bits", IntDistribution(2, 8), ("weight_bits",), "bits", layer, group),
        ]
    hand = {"keep": (1.0, 0.9, 0.8, 0.7, 0.55), "weight_bits": BITS}
    return Compression("conv19", make.network(generator(19, "networks")), tuple(knobs), hand, is_plain=True)


def deep() -> Compression:
    """A residual network of eighteen blocks, of which twelve can be dropped; latency and size are what counts."""
    make = Make(18, {"keep": 1.0, "present": 3.0}, base=0.06, steepness=1.3, narrow=64, overhead=0.15, chained=False)
    knobs = []
    for i in range(18):
        group = f"block{i}"
        knobs.append(Knob(f"{group}.keep", FloatDistribution(0.1, 1.0), ("keep",), "share", (i,), group))
        if i % 6 >= 2:
            choice = CategoricalDistribution((False, True))
            knobs.append(Knob(f"{group}.drop", choice, ("present",), "dropped", (i,), group, falls=1))
    hand = {"keep": tuple(1 - 0.04 * k for k in range(20))}
    weights = {"latency_ms": 0.7, "packed_size_mb": 0.3}
    return Compression(
        "deep", make.network(generator(18, "networks")), tuple(knobs), hand, weights, 0.1, 0.9, 4000, 0.02, widths=8
    )


def mixed() -> Compression:
    """Seven layers, shares kept in eighths and float32 or int8 by layer; neutral is float32."""
    make = Make(7, {"keep": 0.7, "weight_bits": 5.0, "activation_bits": 2.0}, base=0.02, stages=2, narrow=16)
    knobs = []
    for i in range(7):
        group, words = f"layer{i}", CategoricalDistribution(("int8", "float32"))
        bits = ("weight_bits", "activation_bits")
        knobs += [
            Knob(f"{group}.keep", FloatDistribution(0.125, 1.0, step=0.125), ("keep",), "share", (i,), group),
            Knob(f"{group}.precision", words, bits, "precision", (i,), group),
        ]
    hand = {"keep": (1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125), "weight_bits": (32.0, 8.0)}
    weights = {"macs": 0.5, "packed_size_mb": 0.5}
    return Compression("mixed", make.network(generator(7, "networks")), tuple(knobs), hand, weights, 0.1, 0.7, 1000)


def names() -> Compression:
    """Eight layers whose knobs have short names; the user tells the directions, and nothing else."""
    make = Make(8, {"keep": 1.4, "weight_bits": 0.8}, base=0.12, steepness=2.0, compounding=0.6)
    knobs = []
    for i in range(8):
        knobs += [
            Knob(f"w{i}", IntDistribution(1, 12), ("keep",), "twelfths", (i,), f"layer{i}"),
            Knob(f"q{i}", IntDistribution(2, 8), ("weight_bits",), "bits", (i,), f"layer{i}"),
        ]
    hand = {"keep": (1.0, 11 / 12, 10 / 12, 9 / 12, 7 / 12), "weight_bits": BITS}
    tells = frozenset({"directions", "bound"})
    network = make.network(generator(8, "networks"))
    return Compression("names", network, tuple(knobs), hand, noise=0.01, is_plain=True, tells=tells)


def choices() -> Compression:
    """Ten layers, five widths and three precisions as choices; added to the tuning half after the first figures."""
    make = Make(10, {"keep": 1.2, "weight_bits": 1.0, "activation_bits": 0.1}, base=0.05, steepness=1.4, narrow=64)
    knobs = []
    for i in range(10):
        group, words = f"layer{i}", CategoricalDistribution(("int4", "int8", "float32"))
        widths = CategoricalDistribution((0.2, 0.4, 0.6, 0.8, 1.0))
        knobs += [
            Knob(f"{group}.width", widths, ("keep",), "share", (i,), group),
            Knob(f"{group}.precision", words, ("weight_bits",), "precision", (i,), group),
        ]
    hand = {"keep": (1.0, 0.8, 0.6, 0.4), "weight_bits": (32.0, 8.0, 4.0)}
    weights = {"macs": 0.5, "packed_size_mb": 0.5}
    return Compression("choices", make.network(generator(11, "networks")), tuple(knobs), hand, weights, 0.1, 0.6)


def widths_and_bits(layers: int, bits: tuple[int, ...], dropped: set[int]) -> tuple[Knob, ...]:
    """Four widths and these numbers of bits a layer, as choices; some layers can be dropped."""
    knobs = []
    for i in range(layers):
        group, widths = f"layer{i}", CategoricalDistribution((0.25, 0.5, 0.75, 1.0))
        knobs += [
            Knob(f"{group}.width", widths, ("keep",), "share", (i,), group),
            Knob(f"{group}.bits", CategoricalDistribution(bits), ("weight_bits",), "bits", (i,), group),
        ]
        if i in dropped:
            choice = CategoricalDistribution((False, True))
            knobs.append(Knob(f"{group}.drop", choice, ("present",), "dropped", (i,), group, falls=1))
    return tuple(knobs)


def narrow() -> Compression:
    """Ten narrow layers, widths and bits as choices, blocks to be dropped; added when `mobile` had been seen."""
    harms = {"keep": 1.1, "weight_bits": 0.7, "present": 2.0}
    make = Make(10, harms, 0.08, 0.9, 1.7, 0.45, chained=False, narrow=24)
    knobs = widths_and_bits(10, (2, 3, 5, 8), dropped={1, 3, 5, 7})
    hand = {"keep": (1.0, 0.75, 0.5, 0.25), "weight_bits": (8.0, 5.0, 3.0, 2.0)}
    weights = {"macs": 0.5, "packed_size_mb": 0.5}
    return Compression("narrow", make.network(generator(31, "networks")), knobs, hand, weights, 0.08, 0.9)


def conv25() -> Compression:
    """Eleven convolutions with other ranges and levels, activation bits by stage."""
    make = Make(11, {"keep": 1.0, "weight_bits": 1.0, "activation_bits": 0.3}, base=0.2, steepness=1.8, compounding=0.2)
    knobs = []
    for stage, layers in enumerate(((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10))):
        name = f"stage{stage}"
        bits = IntDistribution(3, 8)
        knobs.append(Knob(f"{name}.activation_bits", bits, ("activation_bits",), "bits", layers, name))
    for i in range(11):
        group = f"conv{i}"
        knobs += [
            Knob(f"{group}.keep", IntDistribution(5, 100, step=5), ("keep",), "percent", (i,), group),
            Knob(f"{group}.weight_bits", IntDistribution(3, 8), ("weight_bits",), "bits", (i,), group),
        ]
    hand = {"keep": (1.0, 0.9, 0.8, 0.7, 0.55), "weight_bits": BITS}
    return Compression("conv25", make.network(generator(25, "networks")), tuple(knobs), hand, is_plain=True, floor=0.06)


def vit() -> Compression:
    """Twelve blocks of a transformer: heads, width of the MLP, int4 to float32 by block; latency is measured."""
    make = Make(
        24, {"keep": 3.0, "weight_bits": 1.0, "activation_bits": 0.01}, 0.15, 0.99, 1.2, 0.4, 1, 0.05, chained=False,
        narrow=192, stages=1,
    )  # fmt: skip
    knobs = []
    for i in range(12):
        group, words = f"block{i}", CategoricalDistribution(("int4", "int8", "float32"))
        knobs += [
            Knob(f"{group}.heads", IntDistribution(1, 12), ("keep",), "twelfths", (2 * i,), group),
            Knob(f"{group}.mlp", FloatDistribution(0.1, 1.0, log=True), ("keep",), "share", (2 * i + 1,), group),
            Knob(f"{group}.precision", words, ("weight_bits",), "precision", (2 * i, 2 * i + 1), group),
        ]
    hand = {"keep": (1.0, 11 / 12, 10 / 12, 9 / 12, 8 / 12, 6 / 12), "weight_bits": (32.0, 8.0, 4.0)}
    weights = {"latency_ms": 0.5, "packed_size_mb": 0.5}
    return Compression(
        "vit", make.network(generator(12, "networks")), tuple(knobs), hand, weights, 0.05, 0.6, 2000, 0.02
    )


def mobile() -> Compression:
    """Twelve narrow layers on a steep cliff: four widths and four numbers of bits, as choices; blocks to be dropped."""
    make = Make(
        12, {"keep": 1.0, "weight_bits": 0.8, "present": 2.5}, 0.1, 0.9, 1.8, 0.5, chained=False, narrow=16, stages=4
    )
    knobs = widths_and_bits(12, (3, 4, 6, 8), dropped={2, 4, 6, 8, 10})
    hand = {"keep": (1.0, 0.75, 0.5, 0.25), "weight_bits": (8.0, 6.0, 4.0, 3.0)}
    weights = {"macs": 0.5, "packed_size_mb": 0.5}
    return Compression("mobile", make.network(generator(13, "networks")), knobs, hand, weights, 0.08, 0.9)


def sparse() -> Compression:
    """Ten layers, plain: shares removed, so that cost falls as they rise, ranks kept, and one number of bits."""
    make = Make(10, {"keep": 1.2, "rank": 0.8, "weight_bits": 0.4}, base=0.3, chance=0.99, steepness=1.6)
    knobs = [Knob("bits", IntDistribution(2, 8), ("weight_bits",), "bits", tuple(range(10)), "network")]
    for i in range(10):
        removed, rank = IntDistribution(0, 90, step=5), FloatDistribution(0.05, 1.0, log=True)
        knobs += [
            Knob(f"removed_{i}", removed, ("keep",), "percent removed", (i,), f"layer{i}", falls=1),
            Knob(f"rank_{i}", rank, ("rank",), "share", (i,), f"layer{i}"),
        ]
    hand = {"keep": (1.0, 0.9, 0.8, 0.65), "rank": (1.0, 0.85, 0.7, 0.5, 0.3), "weight_bits": (6.0,)}
    tells = frozenset({"directions", "bound"})
    network = make.network(generator(10, "networks"))
    return Compression("sparse", network, tuple(knobs), hand, noise=0.015, is_plain=True, tells=tells)


MADE: dict[str, Callable[[], Compression]] = {
    "conv19": conv19, "deep": deep, "mixed": mixed, "names": names, "choices": choices,
    "narrow": narrow,
    "conv25": conv25, "vit": vit, "mobile": mobile, "sparse": sparse,
}  # fmt: skip
VARIANTS = {"plain": NOTHING, "groups": LAYERS, "region": REGION}


@cache
def compression(name: str) -> Compression:
    """The problem of that name, `base` or `base-variant`."""
    base, _, variant = name.partition("-")
    made = MADE[base]()
    return replace(made, name=name, tells=VARIANTS[variant]) if variant else made
