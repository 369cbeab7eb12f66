"""Makes torchvision importable beside a torch build that its compiled operators do not fit (CUDA beside CPU).

torchvision registers the shape functions of two detection operators when it is imported, and fails where its compiled
library cannot be loaded. What moco uses of it needs none of those operators.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# The registration lives as long as this object does.
_definitions: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """The module `torchvision`; on a normal installation this is a plain import.

    An ImportError where it is not installed, a RuntimeError where it fails for another reason than the missing
    operators.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    _definitions.append(library)
    return importlib.import_module("torchvision")
