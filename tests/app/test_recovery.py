"""Steps of recovery: how they are written, and what a search makes of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from moco.compression.precision import Bits
from moco.errors import CompressionError, ConfigError
from moco.experiment.build import Overrides, build_job, recovery_plan
from moco.experiment.loading import experiment_of
from moco.experiment.plugins import chosen_step
from moco.experiment.schema_space import RecoverySection
from moco.export.packing import unpacked
from moco.recovery.custom import CustomOptions, CustomStep
from moco.recovery.distillation import DistillationOptions
from moco.recovery.quantization_aware import QuantizationAwareOptions, fake_quantized_weight
from moco.recovery.recovery import RecoveryPlan
from moco.recovery.refit import RefitOptions
from moco.recovery.training_plan import FineTuningOptions
from moco.registry import plugin
from moco.run.job import Prepared, prepare
from tests.app.tiny import settings
from tests.policies import policy_of

PRUNED = policy_of({"layer2.0.conv1": (16, 64), "layer2.1.conv1": (16, 64)}, {})
IN_CODES = policy_of({"layer2.0.conv1": (16, 64), "layer2.1.conv1": (16, 64)}, {"layer2.0.conv2": Bits(2, 8)})


def plan_of(*steps: Any) -> Any:
    sections = [RecoverySection.model_validate(step) for step in steps]
    return recovery_plan([chosen_step(step, plugin("recovery_step", step.name)) for step in sections])


def test_a_step_is_a_name_or_a_name_with_options() -> None:
    plan = plan_of("batch_norm", {"refit": {"positions": 3}}, {"fine_tuning": {"epochs": 2.0, "learning_rate": 0.1}})
    assert [step.name for step in plan.steps] == ["refit", "batch_norm", "fine_tuning"]
    refit, _, training = plan.steps
    assert (refit.everywhere, refit.options.positions) == (True, 3)
    assert training.options == FineTuningOptions(epochs=2.0, learning_rate=0.1)
    (implied,) = plan_of().steps
    assert (implied.name, implied.everywhere, implied.options) == ("refit", False, RefitOptions())


def test_ways_of_training_share_the_options_of_the_plan() -> None:
    (distilled,) = plan_of({"distillation": {"epochs": 1.0, "temperature": 2.0}}).asked
    assert distilled.options == DistillationOptions(epochs=1.0, temperature=2.0, weight=1.0)
    (aware,) = plan_of({"quantization_aware": {"distil": True}}).asked
    assert aware.options == QuantizationAwareOptions(distil=True)
    assert [plan_of(step).keeps_whole_ranges for step in ("quantization_aware", "fine_tuning")] == [True, False]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["batch_norm", "batch_norm"], "each step once"),
        (["fine_tuning", "distillation"], "one way of training, got fine_tuning and distillation"),
        ([{"batch_norm": {"images": 3}}], r"recovery\.batch_norm\.images: unknown key"),
        ([{"fine_tuning": {"epoch": 1}}], r"recovery\.fine_tuning\.epoch: unknown key; did you mean 'epochs'"),
        ([{"fine_tuning": {"seconds": 3.0}}], r"^recovery\.fine_tuning\.seconds: .*; give 'epochs'"),
        (
            [{"fine_tuning": {"epochs": None}}],
            r"^recovery\.fine_tuning\.epochs: expected a finite number above 0, got None",
        ),
        ([{"distillation": {"learning_rate": -1}}], r"^recovery\.distillation\.learning_rate: expected a finite"),
        ([{"quantization_aware": {"gamma": 2}}], r"^recovery\.quantization_aware\.gamma: expected a finite number"),
        ([{"refit": {"inputs": "both"}}], "original"),
        (
            [{"distillation": {"temperature": 0}}],
            r"recovery\.distillation\.temperature: expected a finite number above 0",
        ),
        ([{"custom": {"function": "a:b"}}], r"recovery\.custom: expected \{import"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(steps: list[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_of(*steps)


@pytest.mark.parametrize(
    "step", [{"custom": {"import": "mine:tune"}}, {"name": "custom", "options": {"import": "mine:tune"}}]
)
def test_a_function_of_the_users_own_needs_leave_to_be_imported(step: dict[str, Any]) -> None:
    given = settings()
    given["recovery"] = [step]
    with pytest.raises(ConfigError, match=r"recovery\.custom\.import: 'mine:tune' runs code"):
        experiment_of(given)


@pytest.fixture
def prepared(weights: Path, tmp_path: Path) -> Any:
    """A search of the tiny network, prepared with these steps of recovery."""

    def made(*steps: Any, folder: Path | None = None) -> Prepared:
        given = settings(model={"weights": str(weights)})
        given["recovery"] = list(steps)
        experiment = experiment_of(given, allow_import=True)
        return prepare(build_job(experiment, tmp_path / "run", Overrides(folder=folder)), tmp_path / "files")

    return made


TUNED = {"epochs": 1.0, "learning_rate": 0.02}


@pytest.mark.parametrize("step", ["fine_tuning", "distillation", "quantization_aware"])
@pytest.mark.slow
def test_training_moves_every_weight_and_the_same_way_each_time(prepared: Any, step: str) -> None:
    untrained, trained = prepared("batch_norm"), prepared("batch_norm", {step: TUNED})
    before = untrained.evaluator.builder.compressed(IN_CODES)
    after, again = (trained.evaluator.builder.compressed(IN_CODES) for _ in range(2))
    for name, tensor in before.named_parameters():
        assert not torch.equal(tensor, after.get_parameter(name)), name
        assert torch.equal(after.get_parameter(name), again.get_parameter(name)), name


def test_a_neutral_policy_is_not_trained(prepared: Any) -> None:
    search = prepared({"fine_tuning": TUNED})
    network = search.evaluator.builder.compressed(policy_of({}, {}))
    for name, tensor in search.job.network.named_parameters():
        assert torch.equal(tensor, network.get_parameter(name)), name


def test_a_function_of_the_users_own_is_called_on_every_candidate(prepared: Any, tmp_path: Path) -> None:
    (tmp_path / "mine_recovery.py").write_text(
        "def tune(network, images, labels):\n"
        "    assert len(images) == len(labels)\n"
        "    network.linear.bias.data += 1.5\n",
        encoding="utf-8",
    )
    search = prepared({"custom": {"import": "mine_recovery:tune"}}, folder=tmp_path)
    linear: nn.Linear = search.evaluator.builder.compressed(PRUNED).linear
    assert torch.allclose(linear.bias, search.job.network.linear.bias + 1.5)


FLATTENED = """
from torch import nn


def network():
    return nn.Sequential(nn.Conv2d(1, 256, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256 * 6 * 6, 10))
"""


@pytest.mark.parametrize(("steps", "told"), [(["refit"], True), (["batch_norm"], False)])
def test_a_layer_that_no_refit_can_take_is_told_before_the_search(tmp_path: Path, steps: list[str], told: bool) -> None:
    (tmp_path / "flattened.py").write_text(FLATTENED, encoding="utf-8")
    given = settings(model={"name": None, "import": "flattened:network"}, recovery=steps)
    job = build_job(experiment_of(given, allow_import=True), tmp_path / "run", Overrides(folder=tmp_path))
    warnings = [text for text in prepare(job, tmp_path / "files").warnings if "not refitted" in text]
    expected = (
        "'3' is not refitted when channels before it are pruned: "
        "it has 9,216 weights an output; a refit takes at most 8,192"
    )
    assert warnings == ([expected] if told else [])


def stored_kernel(node: onnx.NodeProto, stored: dict[str, Any]) -> bool:
    return node.input[0] in stored and stored[node.input[0]].ndim == 4


def test_a_network_that_learned_four_bits_ships_in_the_very_codes_that_it_learned(prepared: Any) -> None:
    """Ranges by output error would shrink the scales that training has settled on."""
    search = prepared("batch_norm", {"quantization_aware": TUNED})
    policy = policy_of({}, {"layer2.0.conv2": Bits(4, 8)})
    artifact, network = search.evaluator.builder.build(policy)
    graph = unpacked(onnx.load(artifact.path)).graph
    stored = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    (node,) = [node for node in graph.node if node.op_type == "DequantizeLinear" and stored_kernel(node, stored)]
    codes, scales = stored[node.input[0]], stored[node.input[1]]
    layer, norm = network.layer2[0].conv2, network.layer2[0].bn2
    folded = layer.weight * (norm.weight / (norm.running_var + norm.eps).sqrt())[:, None, None, None]
    wanted = fake_quantized_weight(folded.detach(), 4)
    torch.testing.assert_close(torch.from_numpy(codes * scales.reshape(-1, 1, 1, 1)), wanted, rtol=1e-4, atol=1e-6)


def test_a_function_that_leaves_the_network_in_another_type_is_named(prepared: Any, tmp_path: Path) -> None:
    (tmp_path / "double_recovery.py").write_text("def tune(network, images, labels):\n    network.double()\n", "utf-8")
    search = prepared({"custom": {"import": "double_recovery:tune"}}, folder=tmp_path)
    with pytest.raises(CompressionError, match=r"'tune' changed '.*' from .* of float32 on cpu to .* of float64"):
        search.evaluator.builder.compressed(PRUNED)


def test_what_is_stored_depends_on_what_the_function_does() -> None:
    class Tune:
        def __init__(self, rate: float) -> None:
            self.rate = rate

        def __call__(self, network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
            del network, images, labels

    def one(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, rate: float = 1.0) -> None:
        del network, images, labels, rate

    functions = [one, partial(one, rate=0.1), partial(one, rate=0.2), Tune(0.1)]

    def written(function: Any) -> str:
        return str(RecoveryPlan((CustomStep(CustomOptions(function)),)))

    assert len({written(function) for function in functions}) == 4
    assert written(partial(one, rate=0.1)) == written(partial(one, rate=0.1))
