"""Hooks of schemathesis (its `SCHEMATHESIS_HOOKS`): what it draws names files that the agent has, so jobs are done.

benchmarks/agent_requests.py sets the variables; moco does not depend on schemathesis.
"""

from __future__ import annotations

import os
import re
from typing import Any

import schemathesis  # type: ignore[import-not-found,unused-ignore]

NETWORK, IMAGES = os.environ["MOCO_FUZZ_NETWORK"], os.environ["MOCO_FUZZ_IMAGES"]
SHAPE = [1, 3, 8, 8]
QUICK = {
    "batch": (1, 1, 4096),
    "seconds": (0.0, 0, 3600),
    "slot_ms": (0.0, 0, 60_000),
    "min_slots": (2, 1, 100_000),
    "warmup_calls": (1, 0, 10_000),
    "tail_calls": (3, 1, 1_000_000),
    "most_seconds": (0.0, 0, 3600),
    "calls": (3, 1, 1000),
}
"""What a value becomes that lies within these bounds; what a request must be refused for stays as it was drawn."""


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _quicken(body: dict[str, Any]) -> None:
    for name, (quick, least, most) in QUICK.items():
        value = body.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
            body[name] = quick if isinstance(value, int) == isinstance(quick, int) else value


@schemathesis.hook  # type: ignore[untyped-decorator,unused-ignore]
def map_body(context: Any, body: Any) -> Any:  # noqa: ARG001 - its form
    """Three of four bodies that name files by a SHA-256 name held ones, and are quick to measure."""
    if not isinstance(body, dict) or hash(repr(body)) % 4 == 0:
        return body
    if _is_name(body.get("file")):
        body["file"] = NETWORK
    if _is_name(body.get("images")):
        body["images"] = IMAGES
    shape = body.get("shape")
    if isinstance(shape, list) and len(shape) == len(SHAPE) and all(type(size) is int and size > 0 for size in shape):
        body["shape"] = SHAPE
    if isinstance(body.get("files"), list) and len(body["files"]) < 4 and all(map(_is_name, body["files"])):
        body["files"] = [NETWORK] * len(body["files"])
    _quicken(body)
    if isinstance(body.get("plan"), dict):
        _quicken(body["plan"])
    return body


@schemathesis.hook  # type: ignore[untyped-decorator,unused-ignore]
def map_path_parameters(context: Any, path_parameters: Any) -> Any:  # noqa: ARG001 - its form
    """Every other SHA-256 in a path is a held file's."""
    if (
        isinstance(path_parameters, dict)
        and _is_name(path_parameters.get("sha256"))
        and hash(repr(path_parameters)) % 2
    ):
        path_parameters["sha256"] = NETWORK
    return path_parameters
