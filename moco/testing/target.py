"""The contract of a target, on networks made on the spot (moco/interfaces.py: Target and Session)."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
from onnx.reference import ReferenceEvaluator

from moco.errors import MeasurementError
from moco.hardware.measuring.probe_model import CLASSES, artifact, conv_stack, write
from moco.interfaces import Artifact, Target
from moco.measurement import TimingPlan
from moco.metrics import METRICS
from moco.readings import READINGS
from moco.testing.suite import Suite, cases, raises_in_one_line

IMAGE = (3, 8, 8)
QUICK = TimingPlan(batch=2, seconds=0.01, slot_ms=1.0, min_slots=8, seed=5)
IMAGES = np.random.default_rng(0).standard_normal((5, *IMAGE), dtype=np.float32)
NORMALIZE = ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])


class TargetSuite(Suite):
    """What every target holds to; its device must be there."""

    kind = "target"

    def connected(self) -> Target:
        """The target, connected."""
        target: Target = self.make()
        target.connect()
        return target

    @cached_property
    def small(self) -> Artifact:
        """A file of two convolutions."""
        return self.prepared(self.onnx)

    @cached_property
    def onnx(self) -> Artifact:
        """The same as an ONNX file."""
        return write(conv_stack(layers=2, width=4, image=IMAGE), self.folder / "small.onnx")

    def prepared(self, file: Artifact) -> Artifact:
        """What the target makes of an ONNX file; the file itself where it takes that as it is."""
        make = getattr(self.connected(), "prepare", None)
        made: Artifact = file if make is None else make(file)
        return made

    def check_what_it_depends_on_is_installed(self) -> None:
        assert all(map(version, self.connected().distributions))

    def check_it_finds_itself(self) -> None:
        found = self.connected().findings()
        assert found
        assert found[0].ok, found
        assert [finding for finding in found if not finding.detail or (not finding.ok and not finding.advice)] == []

    @cases(lambda _: [(shape, normalize) for shape in (None, IMAGE) for normalize in (None, NORMALIZE)])
    def check_its_snippet_labels_a_batch_as_it_stands(self, given: tuple[None, None]) -> None:
        code = self.connected().snippet(self.small.path.name, *given) + "assert labels.shape == (1,), labels"
        subprocess.run([sys.executable, "-c", code], cwd=self.folder, check=True, timeout=120)

    def check_a_reading_that_it_claims_it_gives(self) -> None:
        target = self.connected()
        sessions = [target.load(self.small)]
        for reading in (READINGS[name] for name in READINGS if name in target.capabilities.metrics):
            plan = replace(QUICK, batch=reading.batch, series=reading.wanted)
            assert reading.constant(target.measure(sessions, plan)) is not None

    def check_the_operators_that_it_tells_of_take_time(self) -> None:
        tell = getattr(self.connected(), "layer_times", None)
        layers = None if tell is None else tell(self.small, 1, 5)
        if layers is not None:
            assert len(layers) >= 2
            assert all(layer.name and layer.kind and layer.time_ms >= 0 for layer in layers)
            assert sum(layer.time_ms for layer in layers) > 0

    def check_every_precision_has_a_channel_multiple_and_legal_layers(self) -> None:
        can = self.connected().capabilities
        assert can.precisions[0] == "float32"
        assert set(can.channel_multiples) == set(can.layer_kinds) == set(can.precisions)
        assert all(multiple >= 1 for multiple in can.channel_multiples.values())
        assert all(kinds <= {"conv", "depthwise", "linear"} for kinds in can.layer_kinds.values())

    def check_only_metrics_of_the_table_are_claimed(self) -> None:
        assert self.connected().capabilities.metrics <= set(METRICS)

    def check_the_description_is_json_and_the_same_for_a_second_target(self) -> None:
        first, second = (json.dumps(self.connected().describe(), sort_keys=True) for _ in range(2))
        assert first == second

    def check_a_loaded_file_knows_its_artefact_and_its_image_shape(self) -> None:
        session = self.connected().load(self.small)
        assert session.artifact == self.small
        assert session.input_shape == IMAGE

    @cases(lambda _: [1, 5])
    def check_logits_are_those_of_the_file(self, n: int) -> None:
        expected: Any = ReferenceEvaluator(str(self.onnx.path)).run(None, {"input": IMAGES[:n]})
        logits = self.connected().load(self.small).run(IMAGES[:n])
        assert logits.shape == (n, CLASSES)
        np.testing.assert_allclose(logits, expected[0], rtol=1e-4, atol=1e-5)

    def check_a_session_is_closed_once_and_for_all(self) -> None:
        target = self.connected()
        session, other = target.load(self.small), target.load(self.small)
        session.close()
        session.close()
        with raises_in_one_line(MeasurementError, "the session is closed"):
            session.run(IMAGES)
        assert other.run(IMAGES).shape == (5, CLASSES)

    def check_images_of_another_shape_or_type_are_refused(self) -> None:
        for images in (np.zeros((1, 3, 9, 9), np.float32), np.zeros((1, *IMAGE), np.uint8)):
            with raises_in_one_line(MeasurementError, "expected float32 images"):
                self.connected().load(self.small).run(images)

    def check_a_broken_and_a_missing_file_are_named_in_one_line(self) -> None:
        (self.folder / "broken.onnx").write_bytes(b"not a network")
        for bad in (artifact(self.folder / "broken.onnx"), Artifact(self.folder / "absent.onnx", "0" * 64, 1)):
            with raises_in_one_line(MeasurementError, bad.path.name):
                self.connected().load(bad)

    def check_every_session_has_as_many_positive_raw_samples(self) -> None:
        target = self.connected()
        measurement = target.measure([target.load(self.small) for _ in range(3)], QUICK)
        counts = {len(samples) for samples in measurement.samples_ms}
        assert len(measurement.samples_ms) == 3
        assert len(counts) == 1
        assert counts.pop() >= QUICK.min_slots
        assert min(map(min, measurement.samples_ms)) > 0

    def check_a_measurement_keeps_its_plan_and_its_surroundings(self) -> None:
        target = self.connected()
        measurement = target.measure([target.load(self.small)], QUICK)
        assert measurement.plan == QUICK
        assert json.loads(json.dumps(measurement.environment)) == measurement.environment != {}

    def check_ten_times_the_work_takes_longer(self) -> None:
        target, large = self.connected(), conv_stack(layers=12, width=16, image=IMAGE)
        sessions = [target.load(self.small), target.load(self.prepared(write(large, self.folder / "large.onnx")))]
        assert target.measure(sessions, QUICK).ratio().value > 1

    def check_nothing_to_time_is_refused(self) -> None:
        with raises_in_one_line(MeasurementError, "at least one session"):
            self.connected().measure([], QUICK)
