"""A target on another machine: an agent on loopback, started as a user starts one."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moco.errors import ConfigError, DeviceLostError, MeasurementError
from moco.hardware.measuring.probe_model import artifact, conv_stack, write
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.hardware.remote import RemoteOptions, RemoteTarget
from moco.hardware.wire import forms
from moco.hardware.wire.connection import Connection, address_of
from moco.interfaces import Artifact, Capabilities, QuantizePlacement
from moco.measurement import LATE, LOAD, TAILS, Measurement, TimingPlan
from moco.serving.requests import Plan
from tests.hardware.agents import ROOT, TOKEN, AgentProcess, address, free_port, served

IMAGE = (3, 8, 8)
PLAN = TimingPlan(batch=2, seconds=0.01, slot_ms=1.0, min_slots=8)
LONG = TimingPlan(seconds=5.0, slot_ms=1.0, min_slots=8)
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with served(tmp_path_factory.mktemp("agent"), "--max-mb", "1") as found:
        yield found


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCO_TOKEN", TOKEN)


@pytest.fixture
def small(tmp_path: Path) -> Artifact:
    return write(conv_stack(layers=2, width=4, image=IMAGE), tmp_path / "small.onnx")


@pytest.fixture
def target(agent: AgentProcess) -> RemoteTarget:
    return to(agent)


def to(agent: AgentProcess) -> RemoteTarget:
    found = RemoteTarget(RemoteOptions(agent.url))
    found.connect()
    return found


def ask(
    agent: AgentProcess, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    """Status, JSON and headers of a bare request."""
    connection = http.client.HTTPConnection(*address(agent), timeout=60)
    given = {"Authorization": f"Bearer {TOKEN}", **{name.replace("_", "-"): text for name, text in headers.items()}}
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before it was all sent
            connection.request(method, path, body, given)
        reply = connection.getresponse()
        text = reply.read()
        return reply.status, json.loads(text) if text else {}, dict(reply.getheaders())
    finally:
        connection.close()


def measured(agent: AgentProcess, key: str, files: list[str], plan: TimingPlan = PLAN) -> tuple[int, dict[str, Any]]:
    body = json.dumps({"files": files, "plan": forms.plan_json(plan)}).encode()
    status, answer, _ = ask(agent, "POST", "/measure", body, Idempotency_Key=key, **JSON)
    return status, answer


def test_it_can_what_the_agents_target_can(target: RemoteTarget) -> None:
    local = ONNXRuntimeTarget()
    assert target.capabilities == local.capabilities
    assert target.describe() == {
        **local.describe(),
        "runtime": "remote",
        "served": "onnxruntime",
        "versions": target.describe()["versions"],
    }
    assert target.snippet("a.onnx", IMAGE, None) == local.snippet("a.onnx", IMAGE, None)


def test_logits_are_bit_for_bit_those_of_the_device(target: RemoteTarget, small: Artifact) -> None:
    images = np.random.default_rng(1).standard_normal((7, *IMAGE), dtype=np.float32)
    np.testing.assert_array_equal(target.load(small).run(images), ONNXRuntimeTarget().load(small).run(images))


def test_a_series_that_was_asked_for_comes_back(target: RemoteTarget, small: Artifact) -> None:
    session = target.load(small)
    plan = TimingPlan(seconds=0.01, slot_ms=1.0, min_slots=8, series=(LOAD,))
    found = target.measure([session, session], plan)
    loads = found.series(LOAD)
    assert loads is not None
    assert len(loads) == 2


def test_an_agent_takes_every_field_of_a_plan() -> None:
    assert set(Plan.model_fields) == {field.name for field in fields(TimingPlan)}


def test_slow_calls_a_short_look_and_a_standard_error_are_measured_there(target: RemoteTarget, small: Artifact) -> None:
    sessions = [target.load(small), target.load(small)]
    look = replace(PLAN, seconds=0.0, slot_ms=0.0)  # how moco looks whether the machine is calm
    assert len(target.measure(sessions, look).samples_ms[0]) == PLAN.min_slots
    slow = replace(look, series=tuple(TAILS), tail_calls=20, deadline_ms=1000.0, standard_error=0.5, most_seconds=0.1)
    found = target.measure(sessions, slow)
    assert set(found.counted) == {*TAILS, LATE}
    assert set(found.counted[LATE]) == {(0.0,) * PLAN.min_slots}


def test_all_that_a_target_can_travels() -> None:
    whole = forms.capabilities_json(ONNXRuntimeTarget().capabilities)
    assert set(whole) == {field.name for field in fields(Capabilities)}
    assert set(whole["placement"]) == {field.name for field in fields(QuantizePlacement)}


def test_what_travels_is_the_measurement_itself() -> None:
    given = Measurement(
        PLAN, ((0.1, 1 / 3), (2.0, 1e-9)), {"load": None}, ("w",), {"load_ms": ((1.0, 2.0), (3.0, 4.0))}
    )
    text = json.dumps(forms.measurement_json(given))
    assert forms.measurement_of(json.loads(text), PLAN, 2) == given
    assert forms.plan_of(json.loads(json.dumps(forms.plan_json(PLAN)))) == PLAN


@pytest.mark.parametrize(
    "change",
    [
        {"samples_ms": [[1.0]]},
        {"samples_ms": [[1.0], [0.0]]},
        {"samples_ms": [[1.0], [1.0, 2.0]]},
        {"samples_ms": [["x"], [1.0]]},
        {"counted": {"load_ms": [[1.0]]}},
        {"environment": None},
    ],
)
def test_what_is_no_measurement_is_refused(change: dict[str, Any]) -> None:
    whole = forms.measurement_json(Measurement(PLAN, ((1.0,), (1.0,))))
    with pytest.raises(MeasurementError, match="expected the agent to answer with a measurement of 2 sessions"):
        forms.measurement_of({**whole, **change}, PLAN, 2)


def test_the_operators_are_those_of_the_agents_runtime(target: RemoteTarget, small: Artifact) -> None:
    there, here = target.layer_times(small, 2, 5), ONNXRuntimeTarget().layer_times(small, 2, 5)
    assert there is not None
    assert [layer.kind for layer in there] == [layer.kind for layer in here]
    assert sum(layer.time_ms for layer in there) > 0


def test_operators_are_timed_once_for_a_key(agent: AgentProcess, target: RemoteTarget, small: Artifact) -> None:
    target.load(small)

    def ask_for(key: str, calls: int) -> tuple[int, dict[str, Any]]:
        body = json.dumps({"file": small.sha256, "batch": 1, "calls": calls}).encode()
        return ask(agent, "POST", "/layers", body, Idempotency_Key=key, **JSON)[:2]

    answers = agent.folder / "agent" / "answers"
    before = set(answers.iterdir())
    first = ask_for("the-operators", 5)
    [kept] = set(answers.iterdir()) - before
    written = kept.stat().st_mtime_ns
    assert first[0] == 200
    assert ask_for("the-operators", 5) == first
    assert kept.stat().st_mtime_ns == written
    assert ask_for("the-operators", 6)[0] == 409
    assert measured(agent, "the-operators", [small.sha256])[0] == 409
    assert [ask_for("too-many-calls", calls)[0] for calls in (0, 1001)] == [422, 422]


def test_a_runtime_that_tells_of_no_operators_answers_none(tmp_path: Path, small: Artifact) -> None:
    with served(tmp_path, "--runtime", "torch") as agent:
        assert to(agent).layer_times(small, 1, 5) is None


@pytest.mark.parametrize("layers", [[{"name": "a"}], [{"name": "a", "kind": "b", "time_ms": -1.0}], 5])
def test_what_are_no_operators_is_refused(layers: Any) -> None:
    with pytest.raises(MeasurementError, match="expected the agent to answer with the times of layers"):
        forms.layers_of(layers)


def test_an_agent_that_does_not_know_a_job_is_of_another_version(
    agent: AgentProcess, small: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange, target = Connection.ask, to(agent)
    monkeypatch.setattr(
        Connection,
        "ask",
        lambda self, method, path, *given: exchange(self, method, path.replace("/layers", "/x"), *given),
    )
    with pytest.raises(ConfigError, match=r"\(moco .*\) does not know /layers"):
        target.layer_times(small, 1, 5)


def test_an_agent_that_speaks_another_form_is_of_another_version(
    agent: AgentProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "FORMAT", forms.FORMAT + 1)
    with pytest.raises(ConfigError, match=r"is of another version of moco \(.*\): it speaks form 1, expected 2"):
        to(agent)


def test_one_key_is_measured_once_and_belongs_to_one_request(
    agent: AgentProcess, target: RemoteTarget, small: Artifact
) -> None:
    target.load(small)
    files = [small.sha256, small.sha256]
    first, again = (measured(agent, "one-key-for-both", files) for _ in range(2))
    other, _ = measured(agent, "another-key-of-mine", files)
    assert first == again
    assert other == 200
    assert measured(agent, "another-key-of-mine", files)[1]["measurement"] != first[1]["measurement"]
    assert measured(agent, "one-key-for-both", files[:1])[0] == 409


def test_a_key_is_kept_while_the_answer_is_not_there_and_then_no_longer(
    agent: AgentProcess, small: Artifact, monkeypatch: pytest.MonkeyPatch, moco_home: Path
) -> None:
    """The agent has measured, and the answer gets lost on the way: it is fetched, and not taken again."""
    asked, target = [], to(agent)
    session, exchange, lost = target.load(small), Connection.ask, [True]

    def losing(self: Connection, method: str, path: str, body: Any = None, headers: Any = None) -> Any:
        reply = exchange(self, method, path, body, headers)
        if path == "/measure":
            asked.append((headers["Idempotency-Key"], reply.body))
            if lost and reply.status == 200:
                lost.clear()
                raise DeviceLostError("no answer")
        return reply

    monkeypatch.setattr(Connection, "ask", losing)
    with pytest.raises(DeviceLostError):
        target.measure([session], PLAN)
    restarted = to(agent)  # as by a client that was killed and resumed
    found = restarted.measure([restarted.load(small)], PLAN)
    restarted.measure([restarted.load(small)], PLAN)

    assert asked[0] == asked[1]
    assert forms.measurement_of(json.loads(asked[0][1])["measurement"], PLAN, 1) == found
    assert asked[2][0] != asked[0][0]
    assert list((moco_home / "remote_measurements").iterdir()) == []


@pytest.mark.slow
def test_a_restarted_agent_answers_what_it_has_measured_and_is_sent_what_it_has_lost(
    tmp_path: Path, small: Artifact
) -> None:
    with served(tmp_path) as agent:
        target = to(agent)
        session = target.load(small)
        files = [small.sha256]
        before = measured(agent, "before-the-restart", files)
        agent.kill()
        with pytest.raises(DeviceLostError, match="does not answer"):
            target.measure([session], PLAN)
        (agent.folder / "agent" / "files" / small.sha256).unlink()
        agent.start()
        assert measured(agent, "before-the-restart", files) == before
        assert len(target.measure([session], PLAN).samples_ms) == 1


@pytest.mark.slow
def test_an_agent_that_serves_another_target_now_is_refused(tmp_path: Path, small: Artifact) -> None:
    with served(tmp_path) as agent:
        target = to(agent)
        session = target.load(small)
        agent.kill(signal.SIGTERM)
        agent.options = ("--set", "threads=2")
        agent.start()
        with pytest.raises(DeviceLostError, match="another target is served here than before; start it with"):
            target.measure([session], PLAN)  # no fault of the file's: the search ends, and no trial is made of it


def test_a_measurement_that_runs_or_waits_can_be_cancelled(
    agent: AgentProcess, target: RemoteTarget, small: Artifact
) -> None:
    target.load(small)
    answers: dict[str, Any] = {}

    def wait(key: str, plan: TimingPlan) -> threading.Thread:
        thread = threading.Thread(target=lambda: answers.update({key: measured(agent, key, [small.sha256], plan)}))
        thread.start()
        time.sleep(0.5)
        return thread

    threads = [wait("the-running-one", LONG), wait("the-waiting-one", LONG), wait("the-third-one", PLAN)]
    assert ask(agent, "DELETE", "/measure/the-waiting-one")[0] == 204
    assert ask(agent, "DELETE", "/measure/the-running-one")[0] == 204
    for thread in threads:
        thread.join()
    assert [answers[key][0] for key in ("the-running-one", "the-waiting-one", "the-third-one")] == [409, 409, 200]
    assert ask(agent, "DELETE", "/measure/the-running-one")[0] == 404


def test_ctrl_c_ends_the_measurement_on_the_device_and_its_key(
    agent: AgentProcess, target: RemoteTarget, small: Artifact, monkeypatch: pytest.MonkeyPatch, moco_home: Path
) -> None:
    session, exchange, asked = target.load(small), Connection.ask, list[str]()

    def interrupted(self: Connection, method: str, path: str, *given: Any) -> Any:
        asked.append(f"{method} {path}")
        if path == "/measure" and len(asked) == 1:
            raise KeyboardInterrupt
        return exchange(self, method, path, *given)

    monkeypatch.setattr(Connection, "ask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        target.measure([session], PLAN)
    assert asked[1].startswith("DELETE /measure/")
    assert list((moco_home / "remote_measurements").iterdir()) == []


@pytest.mark.parametrize(
    ("sign", "error", "told"),
    [
        (signal.SIGKILL, DeviceLostError, "the runtime's process ended with SIGKILL"),
        (signal.SIGSEGV, MeasurementError, "the runtime's process ended with SIGSEGV"),
    ],
)
def test_a_runtime_that_dies_takes_nothing_with_it(
    agent: AgentProcess, target: RemoteTarget, small: Artifact, sign: int, error: type[Exception], told: str
) -> None:
    session = target.load(small)
    raised: list[str] = []

    def measure() -> None:
        with pytest.raises(error) as caught:
            target.measure([session], LONG)
        raised.append(str(caught.value))

    thread = threading.Thread(target=measure)
    thread.start()
    time.sleep(0.5)
    assert agent.process is not None
    [child] = Path(f"/proc/{agent.process.pid}/task/{agent.process.pid}/children").read_text().split()
    os.kill(int(child), sign)
    thread.join()
    assert told in raised[0]
    assert len(target.measure([session], PLAN).samples_ms) == 1


@pytest.mark.parametrize("path", ["/target", "/files/" + "0" * 64, "/measure", "/nothing"])
@pytest.mark.parametrize("given", ["", "Bearer wrong", "Basic abc", "Bearer ünknown"])
def test_nothing_is_told_without_the_token(agent: AgentProcess, path: str, given: str) -> None:
    status, told, headers = ask(agent, "GET", path, Authorization=given)
    assert (status, told) == (401, {"detail": "expected the agent's token"})
    assert headers["WWW-Authenticate" if "WWW-Authenticate" in headers else "www-authenticate"] == "Bearer"


def test_health_needs_no_token_and_tells_that_it_lives_alone(agent: AgentProcess) -> None:
    assert ask(agent, "GET", "/health", Authorization="")[:2] == (200, {"alive": True})


@pytest.mark.slow
def test_uploads_that_are_too_large_cut_short_or_of_another_hash_are_refused_and_leave_nothing(
    agent: AgentProcess, target: RemoteTarget, small: Artifact
) -> None:
    held = target.load(small)
    running: list[Measurement] = []
    thread = threading.Thread(target=lambda: running.append(target.measure([held, held], LONG)))
    thread.start()
    name = hashlib.sha256(b"x").hexdigest()
    assert ask(agent, "PUT", f"/files/{name}", bytes(1_000_001))[0] == 413
    assert ask(agent, "PUT", f"/files/{name}", b"y")[0] == 400
    assert ask(agent, "PUT", "/files/../etc", b"y")[0] in {404, 422}
    assert ask(agent, "POST", "/open", bytes(1_000_001), **JSON)[0] == 413
    unsized = b"PUT /files/%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(address(agent)) as raw:
        raw.sendall(unsized % (name.encode(), TOKEN.encode()))
        try:
            for _ in range(40):
                raw.sendall(b"8000\r\n" + bytes(0x8000) + b"\r\n")
        except OSError:
            pass  # refused meanwhile
        assert b" 413 " in raw.recv(100)
    with socket.create_connection(address(agent)) as raw:
        raw.sendall(
            b"PUT /files/%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: 1000\r\n\r\nabc"
            % (name.encode(), TOKEN.encode())
        )
    thread.join()
    assert ask(agent, "HEAD", f"/files/{name}")[0] == 404
    assert list((agent.folder / "agent" / "parts").iterdir()) == []
    assert abs(running[0].ratio().value - 1) < 0.5
    assert ask(agent, "PUT", f"/files/{name}", b"x")[0] == 201
    assert ask(agent, "PUT", f"/files/{name}", b"x")[0] == 200


IMPATIENT = """
import sys
from pathlib import Path
from moco.serving.limits import Limits
from moco.serving.serve import ServeRequest, serve
limits = Limits(upload_s=0.5, uploads=1, wait_s=0.1, lease_s=1.0, queue=1)
request = ServeRequest(port=int(sys.argv[1]), folder=Path(sys.argv[2]), limits=limits)
serve(request, lambda line: print(line, flush=True))
"""
"""An agent that has little patience and room."""


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[AgentProcess]:
    found = AgentProcess(tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", IMPATIENT, str(found.port), str(tmp_path / "agent")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield found
        process.terminate()


def test_an_upload_that_takes_too_long_is_refused_and_so_is_one_beside_it(impatient: AgentProcess) -> None:
    begun = b"PUT /files/%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n" % (b"0" * 64, TOKEN.encode())
    with socket.create_connection(address(impatient)) as raw:
        raw.sendall(begun + b"Content-Length: 1000\r\n\r\nabc")
        status, _, headers = ask(impatient, "PUT", f"/files/{'1' * 64}", b"abc")
        assert b" 408 " in raw.recv(100)
    assert (status, headers["retry-after"]) == (503, "2")


@pytest.mark.slow
def test_who_waits_asks_again_and_what_nobody_asks_about_is_dropped(impatient: AgentProcess, small: Artifact) -> None:
    target, files = to(impatient), [small.sha256]
    target.load(small)
    plan = replace(LONG, seconds=2.5)
    assert measured(impatient, "the-first-one", files, plan) == (202, {"state": "waiting", "ahead": 0})
    assert measured(impatient, "the-second-one", files) == (202, {"state": "waiting", "ahead": 1})
    assert measured(impatient, "the-third-one", files)[0] == 503
    while (found := measured(impatient, "the-first-one", files, plan))[0] == 202:
        time.sleep(0.1)
    assert found[1]["state"] == "done"
    time.sleep(0.5)
    kept = [json.loads(path.read_text()) for path in (impatient.folder / "agent" / "answers").glob("*.json")]
    assert sum("measurement" in answer for answer in kept) == 1
    assert len(target.measure([target.load(small)], replace(PLAN, seconds=0.5)).samples_ms) == 1


def test_what_is_no_network_is_refused_and_kept_no_longer(
    agent: AgentProcess, target: RemoteTarget, tmp_path: Path
) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a network")
    bad = artifact(tmp_path / "broken.onnx")
    with pytest.raises(MeasurementError, match=r"broken\.onnx: .*cannot load it"):
        target.load(bad)
    assert ask(agent, "HEAD", f"/files/{bad.sha256}")[0] == 404


def test_a_wrong_token_is_told_in_one_line_before_anything_is_sent(
    agent: AgentProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "of-another-agent-1234")
    with pytest.raises(ConfigError) as caught:
        RemoteTarget(RemoteOptions(agent.url, "${MY_TOKEN}")).connect()
    assert "refuses the token in ${MY_TOKEN}" in str(caught.value)
    assert "of-another-agent" not in str(caught.value)


def test_a_token_that_an_agent_no_longer_takes_ends_a_search_and_fails_no_trial(
    agent: AgentProcess, small: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = to(agent)
    monkeypatch.setattr(target.client, "connection", Connection(address_of(agent.url, "url"), "of-another-agent"))
    with pytest.raises(DeviceLostError, match="refuses the token"):
        target.load(small)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"url": "ftp://board"}, "expected an address"),
        ({"url": "http://board:99999"}, "expected an address"),
        ({"url": "https://me:secret@board"}, "without a user or a password"),
        ({"url": "https://board/agent"}, "without a path"),
        ({"url": "http://board:8080"}, "sends the token unencrypted"),
        ({"url": "https://board", "token": "the-token-itself"}, "the name of an environment variable"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(options: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        RemoteOptions(**options)
    assert "the-token-itself" not in str(caught.value)


def test_a_token_that_is_not_set_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOCO_TOKEN")
    with pytest.raises(ConfigError, match="MOCO_TOKEN is not set"):
        RemoteTarget(RemoteOptions("http://127.0.0.1:1")).connect()


def test_an_agent_that_is_not_there_is_a_lost_device() -> None:
    with pytest.raises(DeviceLostError, match="does not answer"):
        RemoteTarget(RemoteOptions(f"http://127.0.0.1:{free_port()}")).connect()


def test_an_agent_of_nothing_known_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"target\.url: is missing"):
        RemoteTarget().connect()
    assert RemoteTarget().findings()[0].ok


def test_what_listens_there_and_is_no_agent_is_a_mistake(agent: AgentProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Connection(address_of(agent.url, "url"), TOKEN)
    monkeypatch.setattr(Connection, "ask", lambda self, method, path, *_: known._exchanged("GET", "/health", None, {}))
    with pytest.raises(ConfigError, match="there is no agent of moco"):
        RemoteTarget(RemoteOptions(agent.url)).connect()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certified(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1", 3650)


def certified(folder: Path, names: str, days: int) -> tuple[Path, Path]:
    """A certificate for those names, and its key."""
    made, cert, key = folder / "made.pem", folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", "/CN=localhost"]
    command += ["-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(made)]
    lasting = ["openssl", "x509", "-in", str(made), "-signkey", str(key), "-days", str(days), "-out", str(cert)]
    for step in (command, lasting):
        subprocess.run(step, check=True, capture_output=True, timeout=60)
    return cert, key


@pytest.mark.parametrize(
    ("names", "days", "told"),
    [
        ("DNS:elsewhere", 3650, "its certificate is another host's: IP address mismatch"),
        ("IP:127.0.0.1", -1, "its certificate does not hold now: certificate has expired"),
    ],
)
def test_a_trusted_certificate_that_does_not_match_is_told_with_what_helps(
    names: str, days: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certified(tmp_path, names, days)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def shake(listening: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(listening.accept()[0], server_side=True):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=shake, args=(listening,))
        thread.start()
        with pytest.raises(ConfigError) as caught:
            RemoteTarget(RemoteOptions(f"https://127.0.0.1:{listening.getsockname()[1]}")).connect()
        thread.join()
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tls_is_spoken_and_a_wrong_one_is_told_in_one_line(
    agent: AgentProcess,
    certificate: tuple[Path, Path],
    tmp_path: Path,
    small: Artifact,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cert, key = certificate
    with served(tmp_path, "--cert", str(cert), "--key", str(key), scheme="https") as secure:
        with pytest.raises(ConfigError, match="its certificate is not trusted here"):
            to(secure)
        with pytest.raises(ConfigError, match="speaks TLS; write https://"):
            RemoteTarget(RemoteOptions(secure.url.replace("https", "http"))).connect()
        with pytest.raises(ConfigError, match="does not speak TLS"):
            RemoteTarget(RemoteOptions(agent.url.replace("http", "https"))).connect()
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        if ssl.get_default_verify_paths().cafile != str(cert):
            pytest.skip("this Python does not look at SSL_CERT_FILE")
        target = to(secure)
        assert len(target.measure([target.load(small)], PLAN).samples_ms) == 1


def test_the_interface_is_described(agent: AgentProcess) -> None:
    _, told, _ = ask(agent, "GET", "/openapi.json")
    for method in ("head", "put"):  # their answers are empty
        assert "content" not in told["paths"]["/files/{sha256}"][method]["responses"]["200"]
    jobs = {"/open", "/run", "/measure", "/measure/{key}", "/layers", "/snippet"}
    assert set(told["paths"]) == {"/health", "/target", "/files/{sha256}", *jobs}
    assert set(told["paths"]["/measure"]["post"]["responses"]) >= {
        "200",
        "202",
        "401",
        "404",
        "408",
        "409",
        "413",
        "503",
    }


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/files/" + "0" * 64, "HEAD, PUT"), ("/measure", "POST"), ("/measure/a-key-of-mine", "DELETE")],
)
def test_another_method_is_told_all_that_there_are(agent: AgentProcess, path: str, allowed: str) -> None:
    status, _, headers = ask(agent, "PATCH", path)
    assert (status, headers["allow"]) == (405, allowed)


def test_the_token_is_nowhere_in_what_the_agent_writes(agent: AgentProcess) -> None:
    for path in agent.folder.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    "body",
    [
        b'{"file": Infinity}',
        b'{"file": NaN}',
        b'{"file": 1e400}',
        b'{"file": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"file": "a", "caf\\u00e9\\u001b": 1}',
    ],
)
def test_what_is_no_json_for_an_answer_is_refused_all_the_same(agent: AgentProcess, body: bytes) -> None:
    status, told, _ = ask(agent, "POST", "/open", body, **JSON)
    assert (status, {part for one in told["detail"] for part in one["loc"]} >= {"body"}) == (422, True)


def test_an_integer_may_be_written_with_a_point(agent: AgentProcess) -> None:
    answers = [
        ask(agent, "POST", "/snippet", f'{{"file": "a", "input_shape": [{size}]}}'.encode(), **JSON)
        for size in ("3", "3.0", "3.5")
    ]
    assert [status for status, _, _ in answers] == [200, 200, 422]
    assert answers[0][1] == answers[1][1]


def test_a_batch_larger_than_the_device_s_memory_is_told_in_one_line_and_the_agent_lives(
    target: RemoteTarget, small: Artifact, tmp_path: Path
) -> None:
    large = write(conv_stack(layers=2, width=4, image=(3, 4096, 4096)), tmp_path / "large.onnx")  # 800 GB of images
    before = target.client.told["device"]
    with pytest.raises(MeasurementError, match=r"^[^\n]*large\.onnx: \S+: a batch of 4096 images takes about [^\n]*$"):
        target.measure([target.load(large)] * 2, replace(PLAN, batch=4096))
    assert len(target.measure([target.load(small)] * 2, PLAN).samples_ms[0]) >= PLAN.min_slots
    assert target.client.greet()["device"] == before


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="Linux's")
def test_where_memory_gets_short_the_system_ends_the_device_s_process_and_not_the_agent(agent: AgentProcess) -> None:
    assert agent.process is not None
    pid = agent.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    scores = [int(Path(f"/proc/{one}/oom_score_adj").read_text()) for one in children]
    assert scores == [1000]
    assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) < 1000
