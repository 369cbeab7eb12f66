"""What Tucker does to a network's size and time, counted exactly and timed (Q03), and at a budget (Q04)."""

from __future__ import annotations

import math
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import nn

from moco.compression.methods.low_rank import (
    STEM_CHANNELS,
    FactorCache,
    TuckerRanks,
    factorise_,
    factorised_parameters,
    tucker_ranks,
)
from moco.export.rewrites import written
from moco.export.template import build_template
from moco.interfaces import Target
from moco.measurement import TimingPlan
from moco.models.zoo import build_model
from moco.registry import DEFAULT_TARGET, plugin
from moco.reproduction.cards.actions import TD
from moco.reproduction.lab import opened
from moco.reproduction.setting import Setting
from moco.reproduction.subjects import DIGITS, Subject

IMAGE = (3, 224, 224)
"""Of the published networks."""
NETWORK = "mobilenet_v2"
KEEPS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
TIMED = 0.5
BUDGET = 0.3
TUNING = {"epochs": 6.0, "learning_rate": 0.02, "batch_size": 64}


def mobilenet_counts(setting: Setting) -> dict[str, Any]:
    """MobileNetV2 with every convolution but the first and depthwise ones in Tucker factors, as published (S1.45).

    Its weights are not trained: neither counts nor times depend on them.
    """
    setting.tell(f"{NETWORK}: Tucker, counted")
    network = build_model(NETWORK)
    whole = sum(parameter.numel() for parameter in network.parameters())
    layers = _factorised(network)
    sizes = {}
    for keep in KEEPS:
        saved = sum(
            math.prod(layer.weight.shape) - factorised_parameters(tuple(layer.weight.shape), ranks)
            for layer, ranks in ((layer, _ranks(layer, keep)) for layer in layers.values())
        )
        sizes[f"{keep:g}"] = whole - saved
    expansions = [layer for layer in layers.values() if _sides(layer) == 6]
    return {
        "network": NETWORK,
        "reference": whole,
        "parameters": sizes,
        "break_even_6_to_1": _break_even(expansions),
        "latency": _timed(network, {name: _ranks(layer, TIMED) for name, layer in layers.items()}),
        "timed_keep": TIMED,
    }


def tucker_at_budget(subject: Subject, setting: Setting) -> dict[str, Any]:
    """Accuracy above chance against the reference's, every layer at 0.3 of its ranks, before and after training."""
    space = TD.space(BUDGET)
    steps = {"before": (), "after": ({"fine_tuning": _tuning(setting, subject)},)}
    found: dict[str, Any] = {"network": subject.name}
    for name, recovery in steps.items():
        with opened(subject, setting, space, recovery=recovery) as lab:
            chance = 1 / lab.prepared.job.data.train.classes
            accuracy, reference = lab.fresh(lab.uniform(1.0)).accuracy, lab.fresh_reference.accuracy
            found[name] = (accuracy - chance) / (reference - chance)
    return found


def _tuning(setting: Setting, subject: Subject) -> dict[str, Any]:
    epochs = TUNING["epochs"] if subject is DIGITS or setting.full else 0.2
    return {**TUNING, "epochs": epochs}


def _factorised(network: nn.Module) -> dict[str, nn.Conv2d]:
    return {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.in_channels > STEM_CHANNELS
    }


def _ranks(layer: nn.Conv2d, keep: float) -> TuckerRanks:
    return tucker_ranks(keep, layer.in_channels, layer.out_channels)


def _sides(layer: nn.Conv2d) -> float:
    sides = sorted((layer.in_channels, layer.out_channels))
    return sides[1] / sides[0]


def _break_even(layers: list[nn.Conv2d]) -> float:
    """The largest share, in hundredths, at which the factors of all these layers are smaller than the layers."""
    shares = [share / 100 for share in range(1, 100)]
    whole = sum(math.prod(layer.weight.shape) for layer in layers)

    def factors(share: float) -> int:
        return sum(factorised_parameters(tuple(layer.weight.shape), _ranks(layer, share)) for layer in layers)

    return max((share for share in shares if factors(share) < whole), default=0.0)


def _timed(network: nn.Module, ranks: dict[str, TuckerRanks]) -> dict[str, float]:
    """Latency of the factorised network against the whole one, both files opened and timed in turn."""
    factorised = build_model(NETWORK)
    factorised.load_state_dict(network.state_dict())
    factorise_(factorised, ranks, FactorCache(network))
    cls = plugin("target", DEFAULT_TARGET)
    target: Target = cls(cls.Options(threads=1))
    target.connect()
    example = torch.zeros(2, *IMAGE)
    with tempfile.TemporaryDirectory() as folder:
        files = [
            written(build_template(one.eval(), example).render(one), Path(folder)) for one in (network, factorised)
        ]
        with closing(target.load(files[0])) as whole, closing(target.load(files[1])) as parts:
            ratio = target.measure([whole, parts], TimingPlan(seconds=1.0)).ratio()
    return {"ratio": ratio.value, "low": ratio.low, "high": ratio.high}
