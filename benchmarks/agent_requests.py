"""Does an agent of `moco serve` answer whatever a client sends, and never with 5xx but a declared 503?

    python -m benchmarks.agent_requests PATH/TO/st [--examples 400] [--seed 1]

PATH is schemathesis's command (pip install schemathesis, in an environment of its own). A small network and images are
sent first, and three of four requests name them. Its checks `unsupported_method` and `positive_data_acceptance` are
left out: the header Allow of a 405 names one method of two, and arbitrary bytes are no network. Ends with the status
of schemathesis.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.remote_agent import put
from moco.hardware.measuring.probe_model import conv_stack, write
from tests.hardware.agents import ROOT, TOKEN, served

IMAGE = (3, 8, 8)
LEFT_OUT = "unsupported_method,positive_data_acceptance"


def main() -> int:
    """Start an agent, send the files, and have schemathesis ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("st", type=Path, help="schemathesis's command")
    parser.add_argument("--examples", type=int, default=400, help="drawn for each request of the interface")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="moco-requests-") as name, served(Path(name), "--max-mb", "1") as agent:
        network = write(conv_stack(2, 4, IMAGE), Path(name) / "network.onnx").path.read_bytes()
        names = {}
        for what, content in (("NETWORK", network), ("IMAGES", np.zeros((1, *IMAGE), "<f4").tobytes())):
            names[f"MOCO_FUZZ_{what}"] = hashlib.sha256(content).hexdigest()
            assert put(agent, names[f"MOCO_FUZZ_{what}"], content) == 201
        # without this checkout's packages on its path: schemathesis has an environment of its own
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {
            **names,
            "PYTHONHASHSEED": "0",
            "SCHEMATHESIS_HOOKS": "agent_hooks",
            "PYTHONPATH": str(ROOT / "benchmarks"),
        }
        command = [str(given.st), "run", f"{agent.url}/openapi.json", "-H", f"Authorization: Bearer {TOKEN}"]
        command += ["--max-examples", str(given.examples), "--seed", str(given.seed), "--continue-on-failure"]
        command += ["--exclude-checks", LEFT_OUT, "--phases", "coverage,fuzzing", "--no-color"]
        return subprocess.run(command, env=environment, cwd=name, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
