"""The page of benchmarks/coverage.py, and which networks it is of."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.coverage_networks import TIMM, input_of, networks
from benchmarks.coverage_page import STEPS, Limits, page, passing
from moco.optional import installed

LIMITS = Limits(1e-5, 1e-3, 0.5)


def result(failing: str | None = None, **figures: Any) -> dict[str, Any]:
    steps = STEPS[: STEPS.index(failing) + 1] if failing else STEPS
    return {"faults": {step: "a reason" if step == failing else None for step in steps}, "figures": figures}


def test_at_least_seventy_of_timm_are_asked_for() -> None:
    assert len(TIMM) >= 70
    assert set(networks()) == {"torchvision", "timm"}


@pytest.mark.skipif(not installed("timm"), reason="timm is an extra")
def test_each_of_timm_is_a_network_of_timm() -> None:
    from moco.models.timm_zoo import timm_names

    assert set(networks()["timm"]) <= set(timm_names())


def test_a_network_of_timm_has_the_image_and_options_of_its_own() -> None:
    assert input_of("timm/vit_tiny_patch16_224") == (64, {"img_size": 64})
    assert input_of("inception_v3") == (96, {"init_weights": False})
    assert input_of("resnet18") == (64, {})


def test_the_page_has_a_table_a_library_and_the_shares_of_all_weights() -> None:
    known = {"torchvision": ["resnet18", "vit_h_14", "vit_b_16"], "timm": ["timm/lcnet_050", "timm/gmlp_ti16_224"]}
    results = {
        "resnet18": result(parameters=100, share_of_all=1.0, int8_share=0.5),
        "vit_b_16": result(parameters=300, share_of_all=0.6, int8_share=0.9),
        "timm/lcnet_050": result(parameters=50, share_of_all=0.2, int8_share=0.4),
        "timm/gmlp_ti16_224": result("groups", parameters=50, share_of_all=0.0, reasons={"'a.b' normalises": 2}),
    }

    text = page(known, results, LIMITS)

    assert passing(known["torchvision"], results) == 3  # one of them by the smaller member of its family
    assert "| **all** | 3 | **3** | 2 | **1** |" in text
    assert "| weights that can be pruned |  | 70% |  | 10% |" in text
    assert "| weights in int8 |  | 80% |  | 40% |" in text
    assert text.index("## torchvision") < text.index("| resnet18 |") < text.index("## timm") < text.index("lcnet_050 |")
    assert "- timm/gmlp_ti16_224, groups: a reason" in text
    assert "| '…' normalises | 2 | timm/gmlp_ti16_224 |" in text
