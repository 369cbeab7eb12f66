"""Hooks of schemathesis (its `SCHEMATHESIS_HOOKS`): what it sends names what the agent has, and answers are counted.

benchmarks/agent_requests.py sets the variables; moco does not depend on schemathesis.
"""

from __future__ import annotations

import atexit
import hashlib
import http.client
import json
import os
import re
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import schemathesis  # type: ignore[import-not-found,unused-ignore]

NETWORK, IMAGES = os.environ["MOCO_FUZZ_NETWORK"], os.environ["MOCO_FUZZ_IMAGES"]
AGENT, TOKEN, DEVICE, TALLY = (os.environ[f"MOCO_FUZZ_{name}"] for name in ("AGENT", "TOKEN", "DEVICE", "TALLY"))
SHAPE = [1, 3, 8, 8]
KEY, COMMON_KEY = r"[A-Za-z0-9_.:-]{8,128}", "the-key-of-many-requests"
PLAN: dict[str, Any] = {
    "batch": 1,
    "seconds": 20.0,
    "slot_ms": 1.0,
    "min_slots": 2,
    "warmup_calls": 1,
    "seed": 0,
    "confidence": 0.95,
    "reopening_sd": 0.0,
    "series": [],
}
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

_answers: Counter[tuple[str, str]] = Counter()


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _quicken(body: dict[str, Any]) -> None:
    for name, (quick, least, most) in QUICK.items():
        value = body.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
            body[name] = quick if isinstance(quick, float) or value == int(value) else value


def _named(body: dict[str, Any]) -> None:
    """Name held files where the body names any by a SHA-256, and be quick to measure."""
    for field, held in (("file", NETWORK), ("images", IMAGES)):
        if _is_name(body.get(field)):
            body[field] = held
    shape = body.get("shape")
    if isinstance(shape, list) and 2 <= len(shape) <= 6 and all(type(size) is int and size > 0 for size in shape):
        body["shape"] = SHAPE
    if isinstance(body.get("files"), list) and all(map(_is_name, body["files"])):
        body["files"] = [NETWORK] * min(len(body["files"]), 3)
    for part in (body, body.get("plan")):
        if isinstance(part, dict):
            _quicken(part)


def _measure(key: str) -> None:
    """Have a measurement of that key run, until somebody ends it."""
    parts = urlsplit(AGENT)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": key, "Content-Type": "application/json"}
    with suppress(OSError, http.client.HTTPException):
        connection.request("POST", "/measure", json.dumps({"files": [NETWORK], "plan": PLAN}), headers)
        connection.getresponse().read()
    connection.close()


@schemathesis.hook  # type: ignore[untyped-decorator,unused-ignore]
def before_call(context: Any, case: Any, **_: Any) -> None:  # noqa: ARG001 - its form
    """Three of four requests name what is there: held files, the device, a used key, a measurement that runs."""
    draw = hash(repr((case.path, case.body, case.path_parameters, case.headers)))
    path, headers = case.path_parameters or {}, case.headers or {}
    if draw % 4 == 0:
        return
    if isinstance(case.body, dict):
        _named(case.body)
    if _is_name(path.get("sha256")) and case.method != "PUT":
        path["sha256"] = NETWORK
    elif _is_name(path.get("sha256")) and isinstance(content := getattr(case.body, "data", case.body), bytes):
        path["sha256"] = NETWORK if draw % 4 == 1 else hashlib.sha256(content).hexdigest()
    if "Moco-Device" in headers:
        headers["Moco-Device"] = DEVICE
    if re.fullmatch(KEY, str(headers.get("Idempotency-Key", ""))) and draw % 8 != 2:  # else many draw one key
        headers["Idempotency-Key"] = COMMON_KEY if draw % 8 == 1 else f"key-{draw % (1 << 32):08x}"
    if case.method == "DELETE" and re.fullmatch(KEY, str(path.get("key", ""))) and draw % 8 == 1:
        threading.Thread(target=_measure, args=(path["key"],), daemon=True).start()
        time.sleep(0.2)


@schemathesis.hook  # type: ignore[untyped-decorator,unused-ignore]
def after_call(context: Any, case: Any, response: Any) -> None:  # noqa: ARG001 - its form
    """Count what was answered to what; a job says whether it was done."""
    state = ""
    with suppress(ValueError, AttributeError):
        state = f" {json.loads(response.content).get('state', '')}"
    if "moco-shape" in {name.lower() for name in response.headers}:
        state = " done"
    _answers[f"{case.method} {case.operation.path}", f"{response.status_code}{state}".strip()] += 1


@atexit.register
def _write() -> None:
    rows = [[asked, answer, count] for (asked, answer), count in sorted(_answers.items())]
    Path(TALLY).write_text(json.dumps(rows), encoding="utf-8")
