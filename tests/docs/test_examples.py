"""What the examples of the pages docs/adding_….md do beyond their contracts: their own numbers, and their options."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import moco as published
from moco.compression.collecting import CalibrationData
from moco.compression.compressor import Compressor
from moco.compression.policy_file import checked_policy
from moco.compression.rankings.ranking import importances
from moco.compression.space.codec import cost_of
from moco.compression.space.layer_groups import grouped
from moco.compression.space.network_space import network_space, space_summary
from moco.encoding import decode
from moco.errors import CompressionError, ConfigError, SpaceError
from moco.experiment.build import build_job
from moco.experiment.loading import experiment_of
from moco.hardware import doctor
from moco.hardware.measuring.probe_model import conv_stack
from moco.hardware.measuring.probe_model import write as write_model
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.measurement import ENERGY, POWER, TimingPlan
from moco.models import build_model
from moco.policy import Policy
from moco.recovery.recovery import RecoveryPlan
from moco.run.job import prepare
from tests.app.tiny import moco, one_line, settings, write
from tests.compression.rankings.test_importance import graph_of
from tests.compression.space.test_codec import TARGET, TINY
from tests.compression.spaces import options_of
from tests.compression.toys import Chain, images, made
from tests.docs.conftest import experiment_with, searched
from tests.docs.pages import Example, installed
from tests.docs.test_adding import PAGES
from tests.evaluation.builders import builder_of
from tests.policies import policy_of

SHARED = {"layer1.0.conv1": {"shared_weights": {"levels": 4}}}
PRUNED = policy_of({"layer2.0.conv1": (16, 64), "layer2.1.conv1": (16, 64)}, {})
HALF = {"output_bias": {"share": 0.5}}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Example]]:
    """The packages of all pages, by kind."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("site")
        yield {kind: stack.enter_context(installed(page, folder)) for page, kind in PAGES.items()}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"space": {"shared_weight": {}}}, r"space\.shared_weight: unknown key; did you mean 'shared_weights'\?"),
        (
            {"space": {"shared_weights": {"level": [4]}}},
            r"space\.shared_weights\.level: unknown key; did you mean 'levels'\?",
        ),
        (
            {"space": {"shared_weights": {"levels": [1]}}},
            r"space\.shared_weights\.levels: expected numbers from 2 on, got \[1\]",
        ),
        ({"space": {"shared_weights": {"levels": 4}}}, r"space\.shared_weights\.levels: expected a list, got 4"),
        (
            {"space": {"filter_pruning": {"rank": "activation_varianc"}}},
            r"space\.filter_pruning\.rank: unknown ranking 'activation_varianc'; did you mean 'activation_variance'\?",
        ),
        (
            {"space": {"filter_pruning": {"rank": {"name": "activation_variance", "powr": 1.0}}}},
            r"space\.filter_pruning\.rank\.powr: unknown key; did you mean 'power'\?",
        ),
        (
            {"space": {"filter_pruning": {"rank": {"name": "activation_variance", "power": "a"}}}},
            r"space\.filter_pruning\.rank\.power: expected a number, got 'a'",
        ),
        (
            {"space": {"filter_pruning": {"rank": {"name": "l1", "power": 1.0}}}},
            r"space\.filter_pruning\.rank\.power: unknown key; it takes no options",
        ),
        (
            {"space": {"filter_pruning": {"rank": {"power": 1.0}}}},
            r"space\.filter_pruning\.rank: expected a ranking's name, or {name: …, option: value}, got .*",
        ),
        (
            {"recovery": [{"output_bias": {"shares": 1.0}}]},
            r"recovery\.output_bias\.shares: unknown key; did you mean 'share'.*",
        ),
        (
            {"recovery": [{"output_bias": {"share": 2.0}}]},
            r"recovery\.output_bias\.share: expected a number in \(0, 1\], got 2\.0",
        ),
        (
            {"recovery": [{"output_bias": {"share": "much"}}]},
            r"recovery\.output_bias\.share: expected a number, got 'much'.*",
        ),
        (
            {"recovery": ["output_bia"]},
            r"recovery\[0\]: expected 'refit', .* or 'output_bias', got 'output_bia'; did you mean 'output_bias'.*",
        ),
        ({"target": {"runtime": "numpy"}}, r"target\.threads: unknown key; valid: counters, runtime, timing, verbose"),
        (
            {"searcher": {"name": "hill_climb", "uniform": 2}},
            r"searcher\.uniform: expected a share in \[0, 1\], got .*",
        ),
        (
            {"searcher": {"name": "hill_climb", "unifrm": 0.5}},
            r"searcher\.unifrm: unknown key; did you mean 'uniform'\?",
        ),
        (
            {"objective": {"protocol": "mnasnet", "floor": None, "weights": None, "target": 0}},
            r"objective\.target: expected a share above 0, got 0.*",
        ),
        (
            {"target": {"counters": [{"name": "hwmon", "tik_s": 1.0}]}},
            r"target\.counters\.hwmon\.tik_s: unknown key; did you mean 'tick_s'\?",
        ),
    ],
)
def test_options_are_checked_like_moco_s_own(
    examples: dict[str, Example], tmp_path: Path, sections: Any, message: str
) -> None:
    given = settings(**sections)
    if "space" in sections:
        given["space"] = sections["space"]
    with pytest.raises(ConfigError, match=f"^{message}$"):
        build_job(experiment_of(given), tmp_path / "run")


class TestMethod:
    @pytest.fixture
    def shared_weights(self, examples: dict[str, Example]) -> Any:
        return examples["method"].plugin

    def test_it_stands_in_a_space_beside_the_others(self, shared_weights: Any) -> None:
        found = grouped(TINY.network, TINY.counts, TINY.graph, "per-block")
        options = options_of(precisions=("float32", "int8"), further=[shared_weights()])
        space, rng = network_space(found, TINY.counts, TINY.costs, options, TARGET), np.random.default_rng(0)
        assert space.distributions["layer2.1.levels"].choices == ("all", "64", "16", "4")
        assert "shared weights of 2 layers" in str(space_summary(space))
        seen = set()
        for _ in range(20):
            policy = space.canonical(decode(space, rng.random(len(space.distributions))))
            assert space.canonical(space.codec.point(policy)) == policy
            for setting in policy.settings.values():
                seen |= setting.keys()
                assert not {"shared_weights", "precision"} <= setting.keys(), "int8 comes first, and excludes it"
        assert seen == {"filter_pruning", "precision", "shared_weights"}

    @torch.no_grad()
    def test_it_is_applied_and_priced(self, shared_weights: Any) -> None:
        policy = checked_policy(SHARED)
        whole, shared = cost_of(TINY.costs, Policy.of({})), cost_of(TINY.costs, policy)
        weights = TINY.costs.weights("layer1.0.conv1", {})
        assert (whole["packed_size_mb"] - shared["packed_size_mb"]) * 1e6 == pytest.approx(weights * 30 / 8 - 4 * 4)
        assert shared["macs"] == whole["macs"]
        assert len(TINY.compress(policy).get_submodule("layer1.0.conv1").weight.unique()) == 4

    @pytest.mark.parametrize("form", [dict, checked_policy, lambda groups: {"format": 1, "groups": groups}])
    def test_compress_applies_a_policy_of_it_in_a_process_that_has_not_met_it(
        self, examples: dict[str, Example], monkeypatch: pytest.MonkeyPatch, form: Any
    ) -> None:
        monkeypatch.setattr("moco.setting_owners._of_plugins", {})
        network = build_model("digits_resnet", 10)
        before = network.layer1[0].conv1.weight.detach().clone()
        small = published.compress(network, form(SHARED), images(2, 1, 8))
        assert len(small.get_submodule("layer1.0.conv1").weight.unique()) == 4
        assert torch.equal(network.layer1[0].conv1.weight, before)
        assert len(before.unique()) > 4

    def test_a_file_that_was_not_made_so_is_refused(
        self, shared_weights: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shared_weights, "apply_", lambda *_: None)
        builder = builder_of(TINY, images(16, 1, 8).numpy(), RecoveryPlan(), tmp_path / "files")
        with pytest.raises(CompressionError, match=r"'layer1\.0\.conv1' was to have 4 values, a channel holds \d+"):
            builder.build(checked_policy(SHARED))

    def test_a_malformed_policy_is_told_what_was_expected(self, shared_weights: Any) -> None:
        with pytest.raises(SpaceError, match=r"groups\.a\.shared_weights: expected {levels: n}, a whole number from 2"):
            checked_policy({"a": {"shared_weights": {"levels": 1}}}, "groups")
        with pytest.raises(SpaceError, match="the network has no layer 'liner'; did you mean 'linear'"):
            Compressor.check(TINY, Policy.of({"liner": {"shared_weights": {"levels": 2}}}))


class TestRanking:
    @torch.no_grad()
    def test_it_is_the_variance_of_what_is_read(self, examples: dict[str, Example]) -> None:
        variance = examples["ranking"].plugin
        network, batch = made(Chain, torch.nn.Identity()), images(70, side=8)
        data = CalibrationData(batch)
        read = torch.relu(network.middle(torch.relu(network.stem(batch)))).double().mean((2, 3))
        expected = read.var(dim=0).numpy()
        found = importances(network, graph_of(network), "activation_variance", data)["stem"]
        np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-5)
        rooted = importances(network, graph_of(network), variance(variance.Options(0.5)), data)["stem"]
        np.testing.assert_allclose(rooted, np.sqrt(expected) / np.sqrt(expected).mean(), rtol=1e-5)
        with pytest.raises(CompressionError, match="'activation_variance': expected calibration images, got none"):
            importances(network, graph_of(network), variance())

    def test_its_written_form_is_its_name_without_options(self, examples: dict[str, Example]) -> None:
        variance = examples["ranking"].plugin
        assert variance().written == "activation_variance"
        assert variance(variance.Options(0.5)).written == {"name": "activation_variance", "power": 0.5}


@pytest.mark.slow
def test_the_recovery_step_does_what_its_page_says(examples: dict[str, Example], weights: Path, tmp_path: Path) -> None:
    def built(name: str, *steps: Any) -> Any:
        given = settings(model={"weights": str(weights)}, recovery=list(steps))
        return prepare(build_job(experiment_of(given), tmp_path / name), tmp_path / name).evaluator.builder

    def mean_logits(network: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return network(whole.images).mean(0)

    plain, half, whole = built("plain"), built("half", HALF), built("whole", "output_bias")
    original = mean_logits(whole.compressor.network)
    before, halved, after = (mean_logits(builder.compressed(PRUNED)) for builder in (plain, half, whole))
    torch.testing.assert_close(halved, (original + before) / 2, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after, original, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(before, original, rtol=1e-2, atol=1e-2)
    assert whole.build(PRUNED)[0].sha256 == whole.build(PRUNED)[0].sha256 != plain.build(PRUNED)[0].sha256


class TestTarget:
    @pytest.mark.slow
    def test_a_report_is_written_where_the_target_is_no_longer_installed(
        self, examples: dict[str, Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = searched(experiment_with(examples["target"]), tmp_path)
        folder = str(examples["target"].folder)
        monkeypatch.setattr(sys, "path", [path for path in sys.path if path != folder])
        assert moco("report", run).exit_code == 0
        page = (run / "report.html").read_text(encoding="utf-8")
        assert "best/card.md tells how to run it." in page
        assert "InferenceSession" not in page

    @pytest.mark.slow
    def test_the_doctor_asks_every_target_and_counter(
        self, examples: dict[str, Example], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(doctor, "AA_PLAN", TimingPlan(seconds=0.01))
        found = doctor.probe(packages=())
        names = [finding.name for finding in found]
        assert names.index("onnxruntime") < names.index("numpy") < names.index("timing")
        assert "no power sensor under /sys/class/hwmon" in next(f.detail for f in found if f.name == "energy")

    def test_one_of_an_older_contract_is_refused_with_what_it_lacks(
        self, examples: dict[str, Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = examples["target"].plugin
        monkeypatch.delattr(target, "snippet")
        monkeypatch.delattr(target, "connect")
        path = write(tmp_path / "e.yaml", target={"runtime": "numpy", "threads": None}, space={"quantization": None})
        line = one_line(moco("search", path, "--out", tmp_path / "run"), 2)
        assert line == (
            "target.runtime: target 'numpy' of the package 'moco-numpy' does not meet this version's contract: "
            "it has no connect, snippet"
        )


def test_the_counter_meters_a_constant_power(examples: dict[str, Example], tmp_path: Path) -> None:
    sensor = tmp_path / "hwmon0" / "power1_input"
    sensor.parent.mkdir()
    sensor.write_text("20000000\n")
    choice = {"name": "hwmon", "root": str(tmp_path), "tick_s": 0.0001}
    target = ONNXRuntimeTarget(ONNXRuntimeTarget.Options(counters=(choice,)))
    target.connect()
    session = target.load(write_model(conv_stack(2, 4, (3, 8, 8)), tmp_path / "small.onnx"))
    plan = TimingPlan(seconds=0.0, slot_ms=5.0, min_slots=8, series=(ENERGY, POWER))

    measurement = target.measure([session, session], plan)

    assert measurement.counted[POWER][0] == pytest.approx([20.0] * 8, rel=0.2)
    sensor.unlink()
    assert target.power.counters[0].available() == f"no power sensor under {tmp_path}"
