"""The times of a graph's operators, as ONNX Runtime's profile of some equal runs tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from moco.interfaces import LayerTime


def operator_times(events: Sequence[Mapping[str, Any]], runs: int) -> tuple[LayerTime, ...]:
    """The median time of each operator in ms, the first run left out; the profile's events are those of equal runs."""
    events = [event for event in events if event.get("cat") == "Node"]
    each = len(events) // runs
    told = [events[place : each * runs : each] for place in range(each)]
    return tuple(
        LayerTime(
            str(of[0]["name"]).removesuffix("_kernel_time"),
            str(of[0]["args"]["op_name"]),
            median(event["dur"] for event in of[1:]) / 1000,
        )
        for of in told
    )
