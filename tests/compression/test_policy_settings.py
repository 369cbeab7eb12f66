"""Policies of networks and their files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from moco.compression.compressor import compress
from moco.compression.policy_file import policy_file, read_policy
from moco.compression.policy_settings import NEUTRAL, widths_of
from moco.errors import SpaceError
from tests.compression.toys import images, tiny
from tests.policies import policy_of, precisions_of

EXAMPLE = policy_of({"a": (12, 16), "b": (8, 8)}, {"a": "int8", "c": "int8", "d": "float32"})


def written(path: Path, groups: object, **more: object) -> Path:
    path.write_text(json.dumps({"format": 1, "network": "toy", "groups": groups, **more}), encoding="utf-8")
    return path


def test_neutral_settings_are_left_out() -> None:
    assert EXAMPLE.settings == {
        "a": {"filter_pruning": {"keep": 12, "of": 16}, "precision": "int8"},
        "c": {"precision": "int8"},
    }
    assert policy_of({"b": (8, 8)}, {"d": "float32"}) == NEUTRAL


def test_widths_and_precisions_are_read_back() -> None:
    assert widths_of(EXAMPLE) == {"a": 12}
    assert precisions_of(EXAMPLE) == {"a": "int8", "c": "int8"}


def test_a_policy_file_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(policy_file(EXAMPLE, "toy")), encoding="utf-8")

    assert read_policy(path) == EXAMPLE


def test_neutral_settings_of_a_file_are_dropped(tmp_path: Path) -> None:
    groups = {"a": {"filter_pruning": {"keep": 4, "of": 4}, "precision": "float32"}, "b": {}}

    assert read_policy(written(tmp_path / "p.json", groups)) == NEUTRAL


@pytest.mark.parametrize(
    ("groups", "error"),
    [
        ({"a": 3}, r"groups\.a: expected a mapping, got 3"),
        ({"a": {"filter_prune": {}}}, r"groups\.a: unknown setting 'filter_prune'; did you mean 'filter_pruning'"),
        ({"a": {"precision": "int4"}}, r"groups\.a\.precision: expected one of float32, int8, got 'int4'"),
        ({"a": {"precision": ["int8"]}}, r"groups\.a\.precision: expected one of"),
        ({"a": {"filter_pruning": 0.5}}, r"groups\.a\.filter_pruning: expected {keep: k, of: n}"),
        ({"a": {"filter_pruning": None}}, r"groups\.a\.filter_pruning: expected {keep: k, of: n}"),
        ({"a": {"filter_pruning": {"keep": 2}}}, r"groups\.a\.filter_pruning: expected"),
        ({"a": {"filter_pruning": {"keep": 0, "of": 4}}}, r"groups\.a\.filter_pruning: expected"),
        ({"a": {"filter_pruning": {"keep": 5, "of": 4}}}, r"groups\.a\.filter_pruning: expected"),
        ({"a": {"filter_pruning": {"keep": 0.5, "of": 4}}}, r"groups\.a\.filter_pruning: expected"),
        ({"a": {"filter_pruning": {"keep": True, "of": 4}}}, r"groups\.a\.filter_pruning: expected"),
        ({"a": {"filter_pruning": {"keep": 2, "of": 4, "rank": "l2"}}}, r"groups\.a\.filter_pruning: expected"),
    ],
)
def test_a_bad_setting_is_named(tmp_path: Path, groups: object, error: str) -> None:
    with pytest.raises(SpaceError, match=error):
        read_policy(written(tmp_path / "p.json", groups))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '{"format": 2, "groups": {}}', '{"format": 1}'])
def test_a_malformed_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policy.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpaceError, match=r"policy\.json: (format: )?expected"):
        read_policy(path)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpaceError, match=r"policy\.json: (format: )?expected"):
        read_policy(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"absent\.json: expected a policy"):
        read_policy(tmp_path / "absent.json")


def test_a_ranking_that_needs_more_than_weights_is_told_and_not_guessed_at(tmp_path: Path) -> None:
    told = policy_file(EXAMPLE, "toy", "taylor")
    assert told["ranking"] == "taylor"
    assert "ranking" not in policy_file(EXAMPLE, "toy")
    (tmp_path / "p.json").write_text(json.dumps(told), encoding="utf-8")
    assert read_policy(tmp_path / "p.json") == EXAMPLE
    with pytest.raises(SpaceError, match=r"ranked by 'taylor'.*moco\.load_network"):
        compress(tiny(), told, images(2, 1, 8))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("policy.json", "expected a Policy or the content of a policy.json, got str"),
        ({"format": 2, "groups": {}}, "format: expected 1, got 2"),
        ({"format": 1, "groups": {}, "colour": "red"}, "unknown key 'colour'"),
        ({"format": 1, "groups": []}, "expected {'format': 1"),
        ({"format": 1, "groups": {}, "ranking": None}, "ranking: expected a name"),
    ],
)
def test_compress_takes_the_content_of_a_file_as_strictly_as_the_file(given: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=f"^policy: {re.escape(message)}"):
        compress(tiny(), given, images(2, 1, 8))
