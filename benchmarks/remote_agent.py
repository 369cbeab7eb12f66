"""Does an agent of `moco serve` lose or double a measurement, and does it stay small and calm under bad uploads?

    python -m benchmarks.remote_agent [--measurements 200] [--kills 20] [--uploads 100] [--mb 50] [--seed 0]

Three figures, on loopback. (1) A client takes measurements one after the other, each under a key of its own, and writes
each down; it is killed (`kill -9`) at drawn moments and started again, and so is the agent. Asked for: each is there
once in the end, and the agent still gives the very samples that were written down. (2) Many connections send large
files at the same time: the most memory that the agent's processes ever had. (3) A file is timed against itself, calmly
and while uploads with a wrong token, cut short, too large and of no network come in. Ends with status 1 where a figure
is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from moco.errors import DeviceLostError, MeasurementError
from moco.execution.retrying_target import RetryingTarget
from moco.hardware.measuring.probe_model import artifact, conv_stack, write
from moco.hardware.remote import RemoteOptions, RemoteTarget
from moco.measurement import Measurement, TimingPlan
from tests.hardware.agents import TOKEN, AgentProcess, served

MOST_RESIDENT_MB = 250.0
IMAGE = (3, 16, 16)
LEDGER = "taken.jsonl"


def plan_of(number: int) -> TimingPlan:
    """The plan of a measurement: some hundred milliseconds."""
    return TimingPlan(seconds=0.1, slot_ms=2.0, seed=number)


def samples_hash(found: Measurement) -> str:
    """By what a measurement is known again."""
    return hashlib.sha256(json.dumps(found.samples_ms).encode()).hexdigest()


def client(url: str, folder: Path, measurements: int) -> None:
    """Take the measurements that the ledger does not have yet."""
    ledger = folder / LEDGER
    done = {json.loads(line)["number"] for line in ledger.read_text().splitlines()} if ledger.exists() else set()
    target = connected(url)
    inner = target.target
    assert isinstance(inner, RemoteTarget)
    sessions = [target.load(artifact(folder / name)).opened for name in ("reference.onnx", "candidate.onnx")]
    for number in range(measurements):
        if number not in done:
            found = target.retry(lambda n=number: inner.measure_once(sessions, plan_of(n), key_of(n)))  # type: ignore[misc]
            with ledger.open("a") as file:
                file.write(json.dumps({"number": number, "samples": samples_hash(found)}) + "\n")
                file.flush()
                os.fsync(file.fileno())


def finished(url: str, folder: Path, measurements: int) -> bool:
    """Whether the client took all that was left; on a busy machine an agent may be away for longer than it waits."""
    with suppress(DeviceLostError):
        client(url, folder, measurements)
        return True
    return False


def key_of(number: int) -> str:
    """The key of a measurement."""
    return f"measurement-{number:05d}"


def connected(url: str) -> RetryingTarget:
    """The agent's target, which waits for it."""
    found = RetryingTarget(RemoteTarget(RemoteOptions(url)), sleep=lambda seconds: time.sleep(min(seconds, 2.0)))
    found.connect()
    return found


def kills(folder: Path, measurements: int, number: int, seed: int) -> list[str]:
    """What was missed of the first figure."""
    draw, agent = random.Random(seed), AgentProcess(folder / "served").start()
    write(conv_stack(8, 16, IMAGE), folder / "reference.onnx")
    write(conv_stack(4, 16, IMAGE), folder / "candidate.onnx")
    command = [sys.executable, "-m", "benchmarks.remote_agent", "--client", agent.url, "--folder", str(folder)]
    command += ["--measurements", str(measurements)]
    victims = Counter[str]()
    process, begin = subprocess.Popen(command), time.perf_counter()
    try:
        for _ in range(number):
            time.sleep(draw.uniform(1.0, 6.0))
            victim = "client" if process.poll() is None and draw.random() < 0.5 else "agent"
            victims[victim] += 1
            if victim == "client":
                process.kill()
                process.wait()
                process = subprocess.Popen(command)
            else:
                agent.kill()
                agent.start()
        process.wait(timeout=3600)
        taken = [json.loads(line) for line in (folder / LEDGER).read_text().splitlines()]
        target = connected(agent.url)
        inner = target.target
        assert isinstance(inner, RemoteTarget)
        sessions = [target.load(artifact(folder / name)).opened for name in ("reference.onnx", "candidate.onnx")]
        again = {n: samples_hash(inner.measure_once(sessions, plan_of(n), key_of(n))) for n in range(measurements)}
    finally:
        process.kill()
        agent.kill()
    times = Counter(line["number"] for line in taken)
    lost = [n for n in range(measurements) if n not in times]
    doubled = [n for n, count in times.items() if count > 1]
    other = [line["number"] for line in taken if again[line["number"]] != line["samples"]]
    killed = f"{victims['client']} kills of the client and {victims['agent']} of the agent"
    found = f"{len(lost)} lost, {len(doubled)} written twice, {len(other)} answered anew"
    print(f"{measurements} measurements, {killed} in {time.perf_counter() - begin:.0f} s: {found}")
    return [f"{what}: {which}" for what, which in (("lost", lost), ("doubled", doubled), ("other", other)) if which]


def uploads(folder: Path, connections: int, mb: int) -> list[str]:
    """What was missed of the second figure."""
    content = os.urandom(1 << 20) * mb
    answers: Counter[str] = Counter()
    with served(folder / "uploads") as agent:

        def send(number: int) -> None:
            name = hashlib.sha256(str(number).encode()).hexdigest()  # not the file's: all of it is sent, then refused
            answers[told(lambda: put(agent, name, content))] += 1

        threads = [threading.Thread(target=send, args=(number,)) for number in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        peaks = {name: peak_mb(pid) for name, pid in processes(agent).items()}
    shown = ", ".join(f"{count} x {answer}" for answer, count in sorted(answers.items()))
    sizes = ", ".join(f"{name} {peak:.0f} MB" for name, peak in peaks.items())
    print(
        f"{connections} connections of {mb} MB: {shown}; most resident: {sizes}, together {sum(peaks.values()):.0f} MB"
    )
    return ["resident memory"] if sum(peaks.values()) > MOST_RESIDENT_MB else []


def told(ask: Callable[[], int]) -> str:
    """The status, or how the connection ended."""
    try:
        return str(ask())
    except (OSError, http.client.HTTPException):
        return "reset"


def put(agent: AgentProcess, name: str, content: bytes, token: str = TOKEN, length: int | None = None) -> int:
    """The status of an upload; a `length` beyond the content cuts it short."""
    connection = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=300)
    try:
        connection.putrequest("PUT", f"/files/{name}")
        connection.putheader("Authorization", f"Bearer {token}")
        connection.putheader("Content-Length", str(length or len(content)))
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.endheaders(content)
        if length is not None and connection.sock is not None:
            connection.sock.shutdown(1)
        return connection.getresponse().status
    finally:
        connection.close()


def processes(agent: AgentProcess) -> dict[str, int]:
    """Those of an agent, by what they do."""
    assert agent.process is not None
    pid = agent.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {"agent": pid, **{f"device {place}": int(child) for place, child in enumerate(children)}}


def peak_mb(pid: int) -> float:
    """The most memory that a process was ever resident with."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def refusals(folder: Path) -> list[str]:
    """What was missed of the third figure."""
    network, bad = write(conv_stack(8, 32, IMAGE), folder / "network.onnx"), b"no network" * 1000
    missed, plan, seen = [], TimingPlan(seconds=3.0), Counter[str]()
    with served(folder / "refusals", "--max-mb", "1") as agent:
        target = connected(agent.url)
        sessions = [target.load(network), target.load(network)]
        calm = target.measure(sessions, plan).ratio()
        with disturbed(agent, bad, seen):
            found = target.measure(sessions, plan)
        try:
            (folder / "bad.onnx").write_bytes(bad)
            target.load(artifact(folder / "bad.onnx"))
            missed.append("what is no network was opened")
        except MeasurementError:
            pass
    ratio = found.ratio()
    shown = ", ".join(f"{count} x {answer}" for answer, count in sorted(seen.items()))
    print(
        f"a file against itself: calm {calm.value:.4f} ({calm.low:.4f} to {calm.high:.4f}), "
        f"during bad uploads {ratio.value:.4f} ({ratio.low:.4f} to {ratio.high:.4f}); {shown}"
    )
    expected = {"wrong token: 401", "too large: 413", "another hash: 400", "cut short: 400", "cut short: reset"}
    missed += [f"an upload was answered otherwise: {answer}" for answer in seen if answer not in expected]
    return missed + ([] if ratio.holds(1.0) else [f"the running measurement: {ratio}"])


@contextmanager
def disturbed(agent: AgentProcess, bad: bytes, seen: Counter[str]) -> Iterator[None]:
    """Bad uploads, one after the other, for as long as the block takes."""
    end, name = threading.Event(), hashlib.sha256(b"").hexdigest()

    def send() -> None:
        while not end.is_set():
            seen[f"wrong token: {told(lambda: put(agent, name, bad, token='another'))}"] += 1
            seen[f"too large: {told(lambda: put(agent, name, bytes(2_000_000)))}"] += 1
            seen[f"another hash: {told(lambda: put(agent, name, bad))}"] += 1
            seen[f"cut short: {told(lambda: put(agent, name, bad, length=len(bad) + 1))}"] += 1
            time.sleep(0.05)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def main() -> None:
    """Measure all three, or be the client of the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("measurements", 200), ("kills", 20), ("uploads", 100), ("mb", 50), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ["MOCO_TOKEN"] = TOKEN
    if given.client:
        while not finished(given.client, given.folder, given.measurements):
            pass
        return
    with tempfile.TemporaryDirectory(prefix="moco-remote-") as name:
        folder = Path(name)
        os.environ["MOCO_HOME"] = str(folder / "home")
        missed = uploads(folder, given.uploads, given.mb)
        missed += refusals(folder)
        missed += kills(folder, given.measurements, given.kills, given.seed)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
