"""The line on a policy's bits."""

from __future__ import annotations

from typing import Any

from moco.report.precision_advice import precision_advice
from moco.run_folder.manifest import LayerRecord

LAYERS = [LayerRecord(name="small", parameters=100), LayerRecord(name="large", parameters=3 * 3 * 2048 * 1024)]


def _bits(weights: int) -> dict[str, Any]:
    return {"quantization": {"weight_bits": weights, "activation_bits": 8}}


def test_it_names_the_layer_with_the_fewest_levels_for_its_size() -> None:
    said = precision_advice({"small": _bits(4), "large": _bits(4)}, LAYERS)
    assert said is not None
    assert said.startswith("large has the fewest levels for its size: weights of 4 bits: 16 levels against 5.8 (S4.06)")
    said = precision_advice({"format": 1, "groups": {"small": _bits(1), "large": _bits(4)}}, LAYERS)
    assert said is not None
    assert "small has the fewest levels for its size: weights of 1 bit: 2 levels against 3.0" in said


def test_usual_bits_and_unknown_settings_need_no_advice() -> None:
    assert precision_advice(None, LAYERS) is None
    assert precision_advice({"small": {"precision": "int8"}, "large": {"of_another_package": 3}}, LAYERS) is None
    assert precision_advice({"gone": _bits(2)}, LAYERS) is None
