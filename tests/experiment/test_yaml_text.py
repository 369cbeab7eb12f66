"""YAML of anybody's: what is refused, in one line that names the place, and soon."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from moco.compression.policy_file import read_policy
from moco.errors import ConfigError, SpaceError
from moco.experiment.loading import load_experiment
from moco.experiment.yaml_text import MOST_BYTES, plain_values

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").rglob("*.yaml"))
LAUGHS = "a: &a [lol, lol, lol, lol]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGES = "a: &a {k: 1}\n" + "".join(
    f"{after}: &{after} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, after in zip("abcdefghi", "bcdefghij", strict=True)
)

REFUSED = {
    LAUGHS: r", line 5, column 4: expected at most 20000 values, aliases expanded; here are more",
    MERGES: r", line 5, column 12: expected at most 20000 values",
    "a: &a [*a]": r", line 1, column 4: an alias lies within what it stands for",
    "a: " + "[" * 60 + "]" * 60: "it is nested more than 50 deep",
    "a: " + "[" * 50_000: "it is nested more than 50 deep",
    "a: " + "{b: " * 50_000: "it is nested more than 50 deep",
    "a: 0x10": r", line 1, column 4: '0x10' is a number to some readers only; write it in decimal, or quote it",
    "a: 0b1": "'0b1' is a number to some",
    "a: 010": "'010' is a number to some",
    "a: 1:30": "'1:30' is a number to some",
    "a: 1_000": "'1_000' is a number to some",
    "a: 1:30.5": "'1:30.5' is a number to some",
    "a: 1_0.5": "'1_0.5' is a number to some",
    "a: " + "9" * 5000: "expected a whole number of at most 19 digits, got one of 5000",
    "a: !!bool x": "'x' is no bool",
    "a: !!int x": "'x' is no int",
    "a: !!float x": "'x' is no float",
    "a: !!null x": "'x' is no null",
    "a: !!timestamp x": "'x' is no timestamp",
    "a: !!binary x": "the tag '!!binary' is not taken",
    "a: !!python/object/apply:os.system [id]": "the tag '!!python/object/apply:os.system' is not taken",
    "a: !!python/name:os.system ''": "the tag '!!python/name:os.system' is not taken",
    "a: !own x": "the tag '!own' is not taken",
    "a: !!set {x}": "the tag '!!set' is not taken",
    "a: !!omap [x: 1]": "the tag '!!omap' is not taken",
    "a: 1\na: 2": ", line 2: the key 'a' stands in line 1 already",
    "<<: {x: 1}\n<<: {y: 2}": ", line 2: the key '<<' stands in line 1 already",
    "a: {<<: 5}": "not valid YAML: expected a mapping or list of mappings",
    "? [a]\n: 1": "a key is no list and no mapping",
    "a: 1\n---\nb: 2": "not valid YAML: but found another document",
    "a: *b": "not valid YAML: found undefined alias",
    "a: \x07": "not valid YAML: ",
    "a: 'x": "not valid YAML: ",
    "a: 2020-13-45": "not valid YAML: ValueError: month must be in 1..12",
    "a" * (MOST_BYTES + 1): "expected at most 262144 characters, got 262145",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text[:30]))
def test_what_no_experiment_needs_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match=REFUSED[text]) as caught:
        plain_values(text, "my.yaml")
    line = str(caught.value)
    assert line.startswith("my.yaml")
    assert line.isprintable()
    assert len(line) < 300


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}),
        ("a: &x {k: 1}\nb: {<<: *x, k: 2}", {"a": {"k": 1}, "b": {"k": 2}}),
        ("a: [0, -1, +2, 1.5, .5, 1.0e+3, -0.0, .inf]", {"a": [0, -1, 2, 1.5, 0.5, 1000.0, -0.0, math.inf]}),
        ("a: [yes, off, ~, null, true]", {"a": [True, False, None, None, True]}),
        ("a: ['0x10', '010', '1:30', !!str 010]", {"a": ["0x10", "010", "1:30", "010"]}),
        ("a: !!float 3", {"a": 3.0}),
        ("\ufeffa: 1", {"a": 1}),
        ("", None),
        ("# nothing", None),
    ],
)
def test_what_all_readers_agree_about_is_taken(text: str, value: Any) -> None:
    assert plain_values(text, "my.yaml") == value


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_it_reads_as_pyyaml_does(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert plain_values(text, str(path)) == yaml.safe_load(text)


VALID: dict[str, Any] = {
    "model": {"name": "digits_resnet"},
    "data": {"source": "digits"},
    "space": {"filter_pruning": {"keep": [0.3, 1.0]}},
    "objective": {"protocol": "accuracy-guaranteed", "weights": {"size_mb": 1}},
}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("name='a\nb'", "name: expected at most 100 letters|name: expected text without control characters"),
        ('name="a\\n"', "name: expected text without control characters, got '\\\\n' in it"),
        ('model.weights="a\\0b"', "model.weights: expected text without control characters, got '\\\\x00' in it"),
        ('store="\\ud800"', "store: expected text without control characters"),
        ("model.weights=~nobody-of-this-name/w.safetensors", "there is no home folder of '~nobody-of-this-name'"),
        ("seed=99999999999999999", "seed: expected less than or equal to 9007199254740992, got 99999999999999999"),
        ("seed=9999999999999999999", "seed: expected a whole number below 10.18"),
        ("seed=1.0e+400", "seed: expected a finite number, got inf"),
        ("seed=.nan", "seed: expected a finite number, got nan"),
        ("seed=0x10", "--set seed=0x10, line 1, column 1: '0x10' is a number to some readers only"),
        ("budget.trials=1000001", "budget.trials: expected less than or equal to 1000000"),
        ("budget.seconds=1.0e+17", "budget.seconds: expected less than or equal to"),
        ("workers=10000000", "workers: expected less than or equal to 1000000"),
        ("data.resize=100000", "data.resize: expected less than or equal to 16384"),
        (
            "model.train={epochs: 1, learning_rate: 1000}",
            "model.train.learning_rate: expected less than or equal to 100",
        ),
        ("target.threads=100000", "target.threads: expected at most [0-9]+ on this machine, got 100000"),
        ("searcher={name: nsga2, population: 100000000}", "population: expected at most 10000, got 100000000"),
        ("searcher={name: nsga3, divisions: 1000}", "divisions: expected at most 100, got 1000"),
        ("searcher={name: ddpg, hidden: [100000]}", "hidden: expected 1 to 8 sizes of hidden layers in 1..4096"),
        ("recovery=[{fine_tuning: {learning_rate: 1.0e+6}}]", "learning_rate: expected a finite number of at most 100"),
        ("objective.constraints={latency_ms: '<= 1e999 ms'}", "latency_ms: expected a finite number"),
    ],
)
def test_values_beyond_their_bounds_are_refused_by_key_and_bound(tmp_path: Path, override: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(VALID), encoding="utf-8")
    load_experiment(path)
    with pytest.raises(ConfigError, match=message) as caught:
        load_experiment(path, [override])
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "latin", "utf16", "huge", "nul"])
def test_files_that_are_no_text_are_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mine.yaml"
    messages = {
        "fifo": "cannot be read: it is no regular file",
        "folder": "cannot be read: it is a folder",
        "device": "cannot be read: it is no regular file",
        "latin": "cannot be read: it is not UTF-8 text",
        "utf16": "cannot be read: it is not UTF-8 text",
        "huge": "cannot be read: it has 1000000 bytes, expected at most 262144",
        "nul": "cannot be read: embedded null byte",
    }
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "nul":
        path = tmp_path / "a\0b"
    else:
        path.write_bytes({"latin": b"name: caf\xe9", "utf16": "name: x".encode("utf-16"), "huge": b"#" * 10**6}[kind])
    with pytest.raises(ConfigError, match=re.escape(messages[kind])):
        load_experiment(path)
    if kind not in {"huge", "latin", "utf16"}:
        with pytest.raises(SpaceError, match=re.escape(messages[kind].removeprefix("cannot be read: "))):
            read_policy(path)


@pytest.mark.parametrize(
    "text",
    [
        '{"format": 1, "groups": {"conv1": {"precision": NaN}}}',
        '{"format": 1, "groups": {"conv1": {"filter_pruning": {"keep": 1e400, "of": 8}}}}',
        '{"format": 1, "groups": {"conv1": {"filter_pruning": {"keep": ' + "9" * 5000 + ', "of": 8}}}}',
        '{"format": true, "groups": {}}',
        '{"format": 1.0, "groups": {}}',
    ],
    ids=["nan", "overflow", "digits", "true", "float"],
)
def test_numbers_of_a_policy_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policy.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpaceError, match=r"policy\.json"):
        read_policy(path)
