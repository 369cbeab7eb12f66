"""The process that has the device: it opens, runs and times files, one job after the other, as lines of JSON ask it to.

It is apart from the one that speaks HTTP, so that no request takes the interpreter from a timing, a runtime that dies
at a file does not take the agent with it, and a job can be ended. Answers are written to files.
"""

from __future__ import annotations

import json
import math
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from moco.errors import ConfigError, DeviceLostError, MeasurementError, MocoError, in_one_line
from moco.execution.device_lock import DeviceLock
from moco.experiment.options import options_of
from moco.hardware.wire import forms
from moco.interfaces import Artifact, Session, Target
from moco.registry import made_by, plugin
from moco.whole_file import write_bytes

MOST_ANSWER_BYTES = 16_000_000
"""Of an answer in JSON, some 800,000 samples: the agent holds it in memory when it is asked for."""
OPEN = 6
"""Sessions that stay open when nothing uses them; those not used for longest are closed."""


class Device:
    """A connected target with the sessions that are open on it."""

    def __init__(self, runtime: str, options: Mapping[str, Any], files: Path) -> None:
        """Connect the target of that name; `files` is the folder of files by SHA-256. A ConfigError where it fails."""
        cls = plugin("target", runtime, "--runtime")
        given = options_of(cls.Options, options, "target")
        self.target: Target = made_by(cls, "target", runtime, "--runtime", given)
        self.target.connect()
        self.files = files
        self._lock = DeviceLock(self.target.describe())
        self._open: dict[tuple[str, int], Session] = {}

    def about(self) -> dict[str, Any]:
        """What a client is told of the target."""
        target = self.target
        return {
            "format": forms.FORMAT,
            "name": target.name,
            "capabilities": forms.capabilities_json(target.capabilities),
            "versions": {name: version(name) for name in ("moco", *target.distributions)},
            "describe": dict(target.describe()),
            "findings": [vars(finding) for finding in target.findings()],
        }

    def open(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The shape of an image of the file."""
        return {"input_shape": list(self._session(job["file"]).input_shape)}

    def run(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The shape of the file's logits of the images, which are written beside the answer."""
        session, shape = self._session(job["file"]), tuple(job["shape"])
        content = self._content(job["images"])
        if len(content) != 4 * math.prod(shape):
            raise MeasurementError(f"expected float32 images {shape}, got {len(content)} bytes")
        logits = session.run(np.frombuffer(content, "<f4").reshape(shape).astype(np.float32))
        write_bytes(Path(job["answer"]).with_suffix(".f32"), np.ascontiguousarray(logits, "<f4").tobytes())
        return {"shape": list(logits.shape)}

    def measure(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The files timed interleaved; a file that is there twice is opened twice, as it is elsewhere."""
        files = job["files"]
        sessions = [self._session(sha256, files[:place].count(sha256)) for place, sha256 in enumerate(files)]
        with self._lock.held():
            found = self.target.measure(sessions, forms.plan_of(job["plan"]))
        return {"measurement": forms.measurement_json(found)}

    def layers(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """What each operator of the file takes, as the runtime tells; null where it tells of none."""
        artifact, ask = self._artifact(job["file"]), getattr(self.target, "layer_times", None)
        with self._lock.held():
            found = None if ask is None else ask(artifact, job["batch"], job["calls"])
        return {"layers": forms.layers_json(found)}

    def snippet(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Python that runs a file under the target's runtime."""
        return {"snippet": self.target.snippet(job["file"], job["input_shape"], job["normalize"])}

    def _session(self, sha256: str, again: int = 0) -> Session:
        """The open session of the file, or of that many-th copy of it."""
        key = sha256, again
        session = self._open.pop(key, None)
        if session is None:
            session = self.target.load(self._artifact(sha256))
        self._open[key] = session
        return session

    def _artifact(self, sha256: str) -> Artifact:
        return Artifact(self.files / sha256, sha256, len(self._content(sha256)))

    def _content(self, sha256: str) -> bytes:
        try:
            return (self.files / sha256).read_bytes()
        except FileNotFoundError:
            raise MissingError(sha256) from None

    def tidy(self) -> None:
        """Close the sessions that were not used for longest."""
        while len(self._open) > OPEN:
            self._open.pop(next(iter(self._open))).close()


class MissingError(Exception):
    """A file is no longer kept here."""


def outcome(device: Device, job: Mapping[str, Any]) -> dict[str, Any]:
    """What became of a job: `done` or `failed`, whose answer is written, or `missing` or `lost`, of which none is."""
    kinds: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]
    kinds = {"open": device.open, "run": device.run, "measure": device.measure, "layers": device.layers}
    kinds["snippet"] = device.snippet
    try:
        answer = {"state": "done", **kinds[job["kind"]](job)}
    except MissingError as error:
        return {"state": "missing", "reason": str(error)}
    except MeasurementError as error:
        answer = {"state": "failed", "reason": str(error).replace(f"{device.files}{os.sep}", "")}
    except (DeviceLostError, OSError, MemoryError) as error:
        return {"state": "lost", "reason": in_one_line(error)}
    finally:
        device.tidy()
    try:
        text = json.dumps({**answer, "request": job["request"]}, allow_nan=False)
        refused = (
            "" if len(text) <= MOST_ANSWER_BYTES else f"its samples take {len(text) / 1e6:.0f} MB: measure for less"
        )
    except ValueError:  # a target of somebody else's may measure what is no number
        refused = "the target's answer holds a number that is none"
    if refused:
        answer = {"state": "failed", "reason": refused}
        text = json.dumps({**answer, "request": job["request"]})
    write_bytes(Path(job["answer"]), text.encode())
    return {"state": answer["state"]}


def main() -> None:
    """Do the jobs of the lines that come, the first of which says which target; one line answers each."""
    with suppress(
        OSError
    ):  # where memory gets short the system ends this process, which is started again, and no other
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a runtime prints must not stand among the answers
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    first = json.loads(sys.stdin.readline())
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    try:
        device = Device(first["runtime"], first["options"], Path(first["files"]))
        _say(answers, {"state": "ready", "about": device.about()})
    except MocoError as error:
        _say(answers, {"state": "config" if isinstance(error, ConfigError) else "lost", "reason": str(error)})
        return
    while True:
        _say(answers, outcome(device, json.loads(lines.get())))


def _read(lines: queue.SimpleQueue[str]) -> None:
    """Take lines; where the agent is gone there is nobody left to measure for."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def _say(answers: TextIO, answer: Mapping[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
