"""Does an agent of `moco serve` answer whatever a client sends, and never with 5xx but a declared 503?

    python -m benchmarks.agent_requests PATH/TO/st [--examples 400] [--seed 1]

PATH is schemathesis's command (pip install schemathesis, in an environment of its own). A small network and images are
sent first, and three of four requests name them (benchmarks/agent_hooks.py), so that jobs are done. What was answered
to what is counted. Schemathesis's check `missing_required_header` is left out: the token that the command line sends
with every request is missed. What the description allows may be answered with 2xx, 401, 404, 409, 503, or 400: bytes
that are not the file of that hash. Ends with status 1 where schemathesis found something, or an answer was 5xx and no
503.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.remote_agent import put
from moco.hardware.measuring.probe_model import conv_stack, write
from moco.hardware.wire.connection import Connection, address_of
from tests.hardware.agents import ROOT, TOKEN, AgentProcess, served

IMAGE = (3, 8, 8)
LEFT_OUT = "missing_required_header"
SETTINGS = 'checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 404, 409, 503]'
"""Schemathesis's own, which takes what is described and yet refused with another status for a fault."""
DECLARED = "503"
Row = tuple[str, str, int]
"""A request, its answer and how often."""


def main() -> int:
    """Start an agent, send the files, and have schemathesis ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("st", type=Path, help="schemathesis's command")
    parser.add_argument("--examples", type=int, default=400, help="drawn for each request of the interface")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="moco-requests-") as name, served(Path(name), "--max-mb", "1") as agent:
        network = write(conv_stack(2, 4, IMAGE), Path(name) / "network.onnx").path.read_bytes()
        names, tally = {}, Path(name) / "tally.json"
        for what, content in (("NETWORK", network), ("IMAGES", np.zeros((1, *IMAGE), "<f4").tobytes())):
            names[f"MOCO_FUZZ_{what}"] = hashlib.sha256(content).hexdigest()
            assert put(agent, names[f"MOCO_FUZZ_{what}"], content) == 201
        device = target_of(agent)["device"]
        names |= {
            "MOCO_FUZZ_DEVICE": device,
            "MOCO_FUZZ_AGENT": agent.url,
            "MOCO_FUZZ_TOKEN": TOKEN,
            "MOCO_FUZZ_TALLY": str(tally),
        }
        # without this checkout's packages on its path: schemathesis has an environment of its own
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {**names, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT / "benchmarks")}
        environment["SCHEMATHESIS_HOOKS"] = "agent_hooks"
        settings = Path(name) / "schemathesis.toml"
        settings.write_text(SETTINGS, encoding="utf-8")
        command = [
            str(given.st),
            "--config-file",
            str(settings),
            "run",
            f"{agent.url}/openapi.json",
            "-H",
            f"Authorization: Bearer {TOKEN}",
        ]
        command += ["--max-examples", str(given.examples), "--seed", str(given.seed), "--continue-on-failure"]
        command += ["--exclude-checks", LEFT_OUT, "--phases", "coverage,fuzzing", "--no-color"]
        command += ["--request-timeout", "60"]  # an agent makes a client wait for 15 s
        begin = perf_counter()
        status = subprocess.run(command, env=environment, cwd=name, check=False).returncode
        rows = [(str(asked), str(answer), int(count)) for asked, answer, count in json.loads(tally.read_text())]
        print(*lines(rows), f"in {perf_counter() - begin:.0f} s", sep="\n", flush=True)
    return 1 if status or list(faults(rows)) else 0


def target_of(agent: AgentProcess) -> dict[str, Any]:
    """What the agent says of its target."""
    reply = Connection(address_of(agent.url, "url"), TOKEN).ask("GET", "/target")
    found: dict[str, Any] = json.loads(reply.body)
    return found


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """What was answered to each request that there is, a line each, and the number of all."""
    by_request: dict[str, Counter[str]] = {}
    for asked, answer, count in rows:
        by_request.setdefault(asked, Counter())[answer] += count
    for asked, answers in sorted(by_request.items()):
        if set(answers) != {"405"}:
            yield f"{asked}: {', '.join(f'{count} x {answer}' for answer, count in answers.most_common())}"
    total = sum(sum(answers.values()) for answers in by_request.values())
    yield f"{total} requests, {sum(count for _, _, count in faults(rows))} answered with 5xx but {DECLARED}"


def faults(rows: Iterable[Row]) -> Iterator[Row]:
    """Those that the interface does not declare."""
    return (row for row in rows if row[1].startswith("5") and not row[1].startswith(DECLARED))


if __name__ == "__main__":
    sys.exit(main())
