"""`space.base`: a second search keeps what the first one found, and a base that does not fit is refused in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from moco.compression.policy_file import policy_file, read_policy
from moco.compression.policy_settings import bits_of, pruned
from moco.policy import Policy
from tests.app.tiny import moco, one_line, write

PRUNED: dict[str, Any] = {"filter_pruning": {"keep": [0.3, 0.8]}}
CODED: dict[str, Any] = {"quantization": {"precision": ["int8"]}}
BOTH: dict[str, Any] = {"filter_pruning": {"keep": [0.3, 1.0]}, "quantization": {"precision": ["float32", "int8"]}}
MIXED: dict[str, Any] = {"precision": ["float32", "int8", "mixed"], "weight_bits": [4, 8]}
FEW = {"objective": {"floor": "-90 pp"}, "searcher": {"start": "none"}, "budget": {"trials": 4}}


def _experiment(path: Path, space: dict[str, Any], **sections: Any) -> Path:
    taken_out = {"filter_pruning": None, "quantization": None}
    return write(path, space={**taken_out, **space}, **{**FEW, **sections})


def _searched(path: Path, out: Path, *options: object) -> dict[str, Any]:
    said = moco("search", path, "--out", out, *options)
    assert said.exit_code in {0, 3}, said.output
    return {"said": said.output, **json.loads((out / "result.json").read_text())}


def _policies(out: Path) -> list[Policy]:
    """Of the delivered network and of all trials."""
    trials = json.loads((out / "trials.json").read_text())
    return [read_policy(out / "best" / "policy.json"), *(Policy.of(t["policy"]) for t in trials if t["policy"])]


@pytest.fixture(scope="module")
def pruned_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("p")
    # from a first space with a width of any number: another precision would round it
    _searched(_experiment(folder / "p.yaml", {**PRUNED, "channel_multiple": 1}), folder / "run")
    return folder / "run"


def test_pruned_then_quantised_keeps_the_widths_exactly(pruned_run: Path, tmp_path: Path) -> None:
    base = pruned(read_policy(pruned_run / "best" / "policy.json"))
    assert base
    path = _experiment(tmp_path / "q.yaml", {**BOTH, "base": str(pruned_run / "best" / "policy.json")})
    result = _searched(path, tmp_path / "run")
    found = _policies(tmp_path / "run")
    assert all(pruned(policy) == base for policy in found)
    assert len({tuple(bits_of(policy)) for policy in found}) > 1  # the bits were searched
    assert result["space"]["kept"] == [f"filter pruning ({len(base)})"]
    assert "kept as in space.base: filter pruning" in result["said"]
    assert "kept as in" in (tmp_path / "run" / "report.html").read_text()


@pytest.fixture(scope="module")
def coded_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("q")
    _searched(_experiment(folder / "q.yaml", {"quantization": MIXED}), folder / "run")
    return folder / "run"


def test_quantised_then_pruned_keeps_the_bits_exactly(coded_run: Path, tmp_path: Path) -> None:
    base = bits_of(read_policy(coded_run / "best" / "policy.json"))
    assert base
    space = {**PRUNED, "quantization": MIXED, "base": str(coded_run / "best" / "policy.json")}
    _searched(_experiment(tmp_path / "p.yaml", space), tmp_path / "run")
    found = _policies(tmp_path / "run")
    assert all(bits_of(policy) == base for policy in found)
    assert len({tuple(pruned(policy).items()) for policy in found}) > 1  # the widths were searched


def _base_file(folder: Path, settings: dict[str, Any], network: str = "digits_resnet") -> Path:
    path = folder / "base.json"
    path.write_text(json.dumps(policy_file(Policy.of(settings), network)))
    return path


REFUSED = 1
CONV = "layer1.0.conv1"


@pytest.mark.parametrize(
    ("settings", "space", "expected"),
    [
        ({}, BOTH, r"it changes nothing, so there is nothing to keep; leave space\.base out"),
        ({"stem": {"precision": "int8"}}, BOTH, r"has no layer 'stem'"),
        ({CONV: {"precision": "int8"}}, PRUNED, r"'quantization', which the space does not declare \(filter_pruning\)"),
        ({CONV: {"precision": "int8"}}, BOTH, r"it is not of this space: '.*' has .* in it, the nearest here is"),
        ({CONV: {"precision": "int8"}}, {**BOTH, **CODED}, r"it is not of this space: '.*' has nothing in it"),
    ],
)
def test_a_base_that_does_not_fit_is_refused(
    settings: dict[str, Any], space: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    path = _experiment(tmp_path / "q.yaml", {**space, "base": str(_base_file(tmp_path, settings))})
    line = one_line(moco("search", path, "--out", tmp_path / "run"), REFUSED)
    assert line.startswith(f"space.base: {tmp_path / 'base.json'}: ")
    assert re.search(expected, line), line
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_a_base_of_another_network_is_refused(tmp_path: Path) -> None:
    base = _base_file(tmp_path, {CONV: {"precision": "int8"}}, "cifar_resnet20")
    line = one_line(moco("search", _experiment(tmp_path / "q.yaml", {**BOTH, "base": str(base)})), REFUSED)
    assert "is a policy of the network 'cifar_resnet20', this one is 'digits_resnet'" in line


def test_a_base_that_is_not_there_is_named_relative_to_the_file(tmp_path: Path) -> None:
    path = _experiment(tmp_path / "q.yaml", {**BOTH, "base": "first/best/policy.json"})
    line = one_line(moco("search", path, "--out", tmp_path / "run"), REFUSED)
    assert line.startswith(
        f"space.base: {tmp_path / 'first' / 'best' / 'policy.json'}: expected a policy in JSON: No such"
    )


def test_a_base_that_sets_all_leaves_nothing_to_search(pruned_run: Path, tmp_path: Path) -> None:
    space = {**PRUNED, "base": str(pruned_run / "best" / "policy.json")}
    line = one_line(moco("search", _experiment(tmp_path / "q.yaml", space), "--out", tmp_path / "run"), REFUSED)
    assert line.endswith("it sets all that the space declares; declare a method to search as well")


def test_a_resumed_search_has_the_same_base(pruned_run: Path, tmp_path: Path) -> None:
    base, out = tmp_path / "base.json", tmp_path / "run"
    base.write_text((pruned_run / "best" / "policy.json").read_text())
    path = _experiment(tmp_path / "q.yaml", {**BOTH, "base": str(base)})
    _searched(path, out)
    assert _searched(path, out, "--resume", "--set", "budget.trials=5")["trials"] == 5
    changed = json.loads(base.read_text())
    changed["groups"].popitem()
    base.write_text(json.dumps(changed))
    line = one_line(moco("search", path, "--out", out, "--resume", "--set", "budget.trials=6"), 2)
    assert "belongs to another experiment ('tiny'): other base policy;" in line


def test_strategies_are_compared_above_a_base(pruned_run: Path, tmp_path: Path) -> None:
    base = pruned_run / "best" / "policy.json"
    path, out = _experiment(tmp_path / "q.yaml", {**BOTH, "base": str(base)}), tmp_path / "out"
    said = moco(
        "compare", path, "--searchers", "random,sobol", "--seeds", "1", "--set", "budget.trials=3", "--out", out
    )
    assert said.exit_code in {0, 3}, said.output
    runs = [found.parent for found in out.rglob("trials.json")]
    assert len(runs) == 2
    trials = [trial for run in runs for trial in json.loads((run / "trials.json").read_text())]
    assert all(pruned(Policy.of(t["policy"])) == pruned(read_policy(base)) for t in trials)
