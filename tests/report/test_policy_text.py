"""Policies in words."""

from __future__ import annotations

from typing import Any

import pytest

from moco.report.policy_text import describe, describe_groups, in_short, kept_channels, layer_settings
from moco.run_folder.manifest import GroupRecord, LayerRecord

KEPT = {"filter_pruning": {"keep": 12, "of": 16}}
GROUPS = [GroupRecord(name=name, layers=(f"{name}.conv1", f"{name}.conv2")) for name in ("a", "b", "c", "d")]


def test_a_layer_says_channels_and_precision() -> None:
    assert describe(KEPT | {"precision": "int8"}) == "12/16 int8"
    assert describe({"svd": {"rank": 3}}) == 'svd {"rank": 3}'
    assert describe(None) == "unchanged"


def test_the_saved_form_of_a_policy_is_read_like_the_bare_one() -> None:
    assert layer_settings({"format": 1, "network": "n", "groups": {"a": KEPT}}) == layer_settings({"a": KEPT})


def test_neighbours_with_the_same_settings_share_a_line() -> None:
    policy = {
        "b.conv1": KEPT,
        "c.conv1": KEPT,
        "d.conv1": KEPT | {"precision": "int8"},
        "d.conv2": {"precision": "int8"},
    }
    assert describe_groups(policy, GROUPS) == ["a: unchanged", "b … c: 12/16", "d: 12/16 int8"]


def test_lines_beyond_the_limit_are_counted() -> None:
    policy = {f"{name}.conv1": {"filter_pruning": {"keep": keep, "of": 16}} for keep, name in enumerate("abcd", 1)}
    assert describe_groups(policy, GROUPS, limit=3) == ["a: 1/16", "b: 2/16", "… and 2 more"]


def test_a_plain_space_is_described_by_its_parameters() -> None:
    assert describe_groups({"x": 0.123456, "kind": "wide"}, []) == ["x: 0.1235", "kind: wide"]


def test_channels_are_those_of_any_method_that_keeps_some() -> None:
    assert kept_channels({"channel_pruning": {"keep": 3, "of": 8}}, 8) == 3
    assert kept_channels({"precision": "int8"}, 8) == 8


def test_channels_are_not_the_weights_that_another_method_keeps() -> None:
    assert kept_channels({"sparsity": {"keep": 72, "of": 144}}, 16) == 16
    both = {"sparsity": {"keep": 72, "of": 144}, "filter_pruning": {"keep": 12, "of": 16}}
    assert kept_channels(both, 16) == 12


LAYERS = [LayerRecord(name=name, group=group, out_channels=16) for name, group in (("a", "a"), ("b", "a"), ("c", None))]


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({}, "unchanged"),
        ({name: {"precision": "int8"} for name in "abc"}, "int8"),
        ({"a": KEPT | {"precision": "int8"}}, "83 % channels, int8 on 1 of 3 layers"),
        ({"a": {"sparsity": {"keep": 72, "of": 144}}, "b": {"svd": {"rank": 3}}}, "sparsity 50 %, svd on 1 layer"),
        ({"a": {"precision": "int8"}, "b": {"precision": "float16"}}, "int8 on 1, float16 on 1 of 3 layers"),
        ({"x": 0.123456, "kind": "wide"}, "x: 0.1235, kind: wide"),
        ({"b": {"depth": {"removed": ["b"]}}, "c": {"precision": "int8"}}, "1 branch left out, int8 on 1 of 2 layers"),
        ({"b": {"depth": {"removed": ["b"]}}, "block": {"depth": {"removed": ["c"]}}}, "2 branches left out"),
    ],
)
def test_a_whole_policy_in_a_few_words(policy: dict[str, Any], words: str) -> None:
    assert in_short(policy, LAYERS) == words


def test_a_branch_that_is_left_out_is_said_in_its_group() -> None:
    policy = {"b": {"depth": {"removed": ["b.conv1", "b.conv2"]}}}
    assert describe_groups(policy, GROUPS) == ["a: unchanged", "b: left out", "c … d: unchanged"]
    branches = GroupRecord(name="depth", layers=("b", "c"))
    assert describe_groups(policy, [branches, *GROUPS[:2]]) == ["depth: 1 of 2 left out", "a: unchanged", "b: left out"]
