"""Hooks of schemathesis (its `SCHEMATHESIS_HOOKS`): what it draws names files that the agent has, so jobs are done.

benchmarks/agent_requests.py sets the variables; moco does not depend on schemathesis.
"""

from __future__ import annotations

import os
from typing import Any

import schemathesis  # type: ignore[import-not-found,unused-ignore]

NETWORK, IMAGES = os.environ["MOCO_FUZZ_NETWORK"], os.environ["MOCO_FUZZ_IMAGES"]
SHAPE = [1, 3, 8, 8]


@schemathesis.hook  # type: ignore[untyped-decorator,unused-ignore]
def map_body(context: Any, body: Any) -> Any:  # noqa: ARG001 - its form
    """Three of four bodies that name files by a SHA-256 name held ones, and are quick to measure."""
    if not isinstance(body, dict) or hash(repr(body)) % 4 == 0:
        return body
    if isinstance(body.get("file"), str) and len(body["file"]) == len(NETWORK):
        body["file"] = NETWORK
    if isinstance(body.get("images"), str) and "shape" in body:
        body["images"], body["shape"] = IMAGES, SHAPE
    if isinstance(body.get("files"), list) and body["files"]:
        body["files"] = [NETWORK] * min(len(body["files"]), 3)
    plan = body.get("plan")
    if isinstance(plan, dict):
        quick = {"batch": 1, "seconds": 0.0, "slot_ms": 0.0, "min_slots": 2, "warmup_calls": 1, "tail_calls": 3}
        plan.update({name: value for name, value in quick.items() if isinstance(plan.get(name), int | float)})
        plan.update({"most_seconds": 0.0} if "most_seconds" in plan else {})
    if isinstance(body.get("calls"), int) and body["calls"] > 0:
        body["calls"] = min(body["calls"], 3)
        body["batch"] = 1 if isinstance(body.get("batch"), int) and body["batch"] > 0 else body.get("batch")
    return body


@schemathesis.hook  # type: ignore[untyped-decorator,unused-ignore]
def map_path_parameters(context: Any, path_parameters: Any) -> Any:  # noqa: ARG001 - its form
    """Every other SHA-256 in a path is a held file's."""
    if isinstance(path_parameters, dict) and "sha256" in path_parameters and hash(repr(path_parameters)) % 2:
        path_parameters["sha256"] = NETWORK
    return path_parameters
