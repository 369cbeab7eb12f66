"""`moco serve` on the command line, `moco doctor --url`, and a search over an agent on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.tiny import moco, one_line, read
from tests.hardware.agents import TOKEN, AgentProcess, free_port, served


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCO_TOKEN", TOKEN)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with served(tmp_path_factory.mktemp("agent")) as found:
        yield found


def told(run: Path) -> list[tuple[Any, ...]]:
    return [
        (trial["number"], trial["state"], trial["policy"], trial["evaluation"]["metrics"]["top1_error"])
        for trial in read(run / "trials.json")
    ]


@pytest.mark.slow
def test_a_search_over_an_agent_ends_like_one_over_its_own_target(
    experiment: Any, finished: Path, agent: AgentProcess, tmp_path: Path
) -> None:
    run, target = tmp_path / "run", {"runtime": "remote", "url": agent.url, "threads": None}
    done = moco("search", experiment(target=target), "--out", run)
    assert done.exit_code == 0, done.output
    assert told(run) == told(finished)
    here, there = read(run / "result.json"), read(finished / "result.json")
    assert here["certificate"]["holds"] == there["certificate"]["holds"] is True
    assert read(run / "manifest.json")["hardware"]["served"] == "onnxruntime"
    assert "onnxruntime.InferenceSession" in (run / "best" / "card.md").read_text(encoding="utf-8")
    for path in run.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path


@pytest.mark.slow
def test_the_page_of_a_search_is_written_anew_though_the_agent_is_gone(experiment: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with served(tmp_path / "agent") as gone:
        target = {"runtime": "remote", "url": gone.url, "threads": None}
        assert moco("search", experiment(target=target, budget={"trials": 1}), "--out", run).exit_code == 0
    assert moco("report", run).exit_code == 0


def test_a_wrong_token_is_refused_before_the_search(
    experiment: Any, agent: AgentProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCO_TOKEN", "another-token-entirely")
    yaml = experiment(target={"runtime": "remote", "url": agent.url, "threads": None})
    line = one_line(moco("search", yaml, "--out", tmp_path / "run"), 2)
    assert line.startswith(f"target.token: the agent at {agent.url} refuses the token in ${{MOCO_TOKEN}}")
    assert not (tmp_path / "run").exists()


def test_an_address_is_asked_for(experiment: Any, tmp_path: Path) -> None:
    yaml = experiment(target={"runtime": "remote", "threads": None})
    assert one_line(moco("search", yaml, "--out", tmp_path / "run"), 2) == "target.url: is missing"


def test_the_doctor_looks_at_a_device_elsewhere(agent: AgentProcess) -> None:
    done = moco("doctor", "--url", agent.url)
    assert done.exit_code == 0
    assert "onnxruntime" in done.stdout
    gone = moco("doctor", "--url", f"http://127.0.0.1:{free_port()}", "--quiet")
    assert "0 of 1 findings are well; not remote" in gone.stdout


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0: other machines would send the token unencrypted"),
        (["--cert", "here.pem"], "expected --cert and --key together, got one of them"),
        (["--cert", "here.pem", "--key", "there.pem"], "--cert here.pem, --key there.pem: "),
        (["--set", "threads"], "--set threads: expected key=value, such as threads=1"),
        (["--max-mb", "0"], "--max-mb: expected more than 0, got 0"),
        (["--runtime", "onnxruntim", "--port", "0"], "--runtime: unknown target 'onnxruntim'; did you mean"),
        (["--set", "thread=1", "--port", "0"], "target.thread: unknown key; did you mean 'threads'?"),
    ],
)
def test_what_cannot_be_served_is_told_in_one_line(options: list[str], line: str, tmp_path: Path) -> None:
    assert one_line(moco("serve", "--folder", tmp_path, *options), 2).startswith(line)


def test_a_token_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOCO_TOKEN", "short")
    assert "expected at least 16 characters" in one_line(moco("serve", "--folder", tmp_path), 2)
    monkeypatch.delenv("MOCO_TOKEN")
    assert "the environment variable MOCO_TOKEN is not set" in one_line(moco("serve", "--folder", tmp_path), 2)


def test_a_port_and_a_folder_are_one_agents(agent: AgentProcess, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = one_line(moco("serve", "--folder", tmp_path, "--port", port), 2)
        assert line.startswith(f"cannot listen at 127.0.0.1:{port}: Address already in use")
    folder = agent.folder / "agent"
    assert "another agent uses this folder" in one_line(moco("serve", "--folder", folder, "--port", 0), 2)


@pytest.fixture
def there(experiment: Any, agent: AgentProcess) -> Path:
    found: Path = experiment(target={"runtime": "remote", "url": agent.url, "threads": None})
    return found


@pytest.mark.slow
def test_a_profile_tells_of_the_operators_of_the_agents_runtime(there: Path, tmp_path: Path) -> None:
    done = moco("profile", there, "--layers", "--runs", 200, "--out", tmp_path / "profile")
    assert done.exit_code == 0, done.output
    found = read(tmp_path / "profile" / "profile.json")
    assert {"Conv", "Gemm"} <= {layer["kind"] for layer in found["layers"]}
    assert found["metrics"]["latency_p99_ms"]["value"] > 0


@pytest.mark.slow
def test_a_device_elsewhere_stands_beside_this_machine_without_a_ratio(there: Path, tmp_path: Path) -> None:
    done = moco("profile", there, "--targets", "onnxruntime,remote", "--out", tmp_path / "profile")
    assert done.exit_code == 0, done.output
    found = read(tmp_path / "profile" / "profile.json")
    assert [profile["target"]["runtime"] for profile in found["profiles"]] == ["onnxruntime", "remote"]
    assert found["side_by_side"] == {}
    assert "'remote' (onnxruntime elsewhere) is not timed in turn" in found["notes"][0]
    assert ", in turn" not in done.stdout


@pytest.mark.slow
def test_searches_here_and_elsewhere_keep_all_precisions_and_deliver_both(there: Path, tmp_path: Path) -> None:
    done = moco("search", there, "--targets", "onnxruntime,remote", "--out", tmp_path / "runs")
    assert done.exit_code == 0, done.output
    assert "has no int8" not in done.output
    for runtime in ("onnxruntime", "remote"):
        policies = [trial["policy"] for trial in read(tmp_path / "runs" / runtime / "trials.json")]
        assert "int8" in {layer.get("precision") for policy in policies for layer in policy.values()}
    assert read(tmp_path / "runs" / "runtimes.json")["side_by_side"] == {}


@pytest.mark.slow
def test_what_pays_off_and_what_each_layer_bears_are_found_over_an_agent(there: Path, tmp_path: Path) -> None:
    done = moco("payoff", there, "--seconds", 4, "--out", tmp_path / "payoff")
    assert done.exit_code == 0, done.output
    done = moco("sensitivity", there, "--images", 32, "--out", tmp_path / "sensitivity")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "payoff" / "payoff.html").exists()
    assert (tmp_path / "sensitivity" / "groups.yaml").exists()
