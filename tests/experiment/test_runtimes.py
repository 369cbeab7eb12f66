from __future__ import annotations

from typing import Any

import pytest

from moco.errors import ConfigError
from moco.experiment.loading import experiment_of
from moco.experiment.runtimes import on_runtime, on_runtimes
from tests.app.tiny import settings


def quantized(**options: Any) -> dict[str, Any]:
    return settings(space={"quantization": options, "filter_pruning": {"keep": [0.5, 1.0]}})


def test_options_and_timing_go_along_where_the_runtime_has_them() -> None:
    given = experiment_of(settings(target={"threads": 1, "optimise": "none"}))
    there = on_runtime(given, "openvino")
    assert there.target.further == {"threads": 1}
    assert there.target.timing == given.target.timing
    assert there.plugins.target.name == "openvino"


def test_its_own_runtime_changes_nothing() -> None:
    given = experiment_of(quantized(precision=["float32", "int8"]))
    assert on_runtime(given, "onnxruntime") == given


def test_precisions_that_a_runtime_lacks_are_left_out_with_a_warning() -> None:
    given = experiment_of(quantized(precision=["float32", "int8"]))
    with pytest.warns(UserWarning, match="'torch' has no int8"):
        there = on_runtime(given, "torch")
    assert there.space.declared["quantization"] == {"precision": ("float32",)}
    assert there.space.declared["filter_pruning"] == {"keep": [0.5, 1.0]}


def test_a_method_without_a_precision_left_is_left_out() -> None:
    with pytest.warns(UserWarning, match="no mixed, int8"):
        there = on_runtime(experiment_of(quantized(precision=["mixed", "int8"])), "torch")
    assert set(there.space.declared) == {"filter_pruning"}


def test_usual_precisions_are_looked_at_too() -> None:
    with pytest.warns(UserWarning, match="no int8"):
        there = on_runtime(experiment_of(quantized(range="auto")), "torch")
    assert there.space.declared["quantization"] == {"precision": ("float32",), "range": "auto"}


@pytest.mark.parametrize("names", ["", "onnxruntime,onnxruntime", "onnxruntim"])
def test_unknown_and_double_runtimes_are_refused(names: str) -> None:
    with pytest.raises(ConfigError, match=r"^targets: "):
        on_runtimes(experiment_of(settings()), names)
