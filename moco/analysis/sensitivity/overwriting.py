"""A traced forward pass whose tensors are written once, so that one which waits for a later node stays what it is."""

from __future__ import annotations

import operator
from typing import Any

from torch import fx

_OUT_OF_PLACE: dict[Any, Any] = {operator.iadd: operator.add, operator.isub: operator.sub, operator.imul: operator.mul}


def without_overwriting(traced: fx.GraphModule) -> fx.GraphModule:
    """The traced network, in which operations that overwrite their input give a new tensor (it is changed itself).

    A tensor that waits for a later node must be the same for every variation.
    """
    for module in traced.modules():
        if isinstance(getattr(module, "inplace", None), bool):
            module.inplace = False  # type: ignore[assignment]
    for node in traced.graph.nodes:
        if node.kwargs.get("inplace"):
            node.update_kwarg("inplace", False)
        if node.op == "call_function":
            node.target = _OUT_OF_PLACE.get(node.target, node.target)
        elif node.op == "call_method" and node.target.endswith("_") and not node.target.endswith("__"):
            node.target = node.target.removesuffix("_")
    return traced
