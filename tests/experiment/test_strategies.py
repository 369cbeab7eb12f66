"""The strategies of a comparison: names, labels and options, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from moco.errors import ConfigError
from moco.experiment.strategies import chosen, strategies_of


def test_names_and_mappings_with_options_and_labels() -> None:
    first, second, third = strategies_of(["random", {"name": "nsga2", "population": 6, "label": "small"}, "nsga2"])
    assert (first.label, first.searcher) == ("random", "random")
    assert (second.label, second.searcher, second.options.population) == ("small", "nsga2", 6)
    assert third.to_json()["options"]["population"] == 10


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["random", "tep"], r"searchers\[1\]\.name: unknown searcher 'tep'; did you mean 'tpe'\?"),
        (["random", {"name": "nsga2", "poplation": 3}], r"searchers\[1\]\.poplation: unknown key.*'population'"),
        (["random", {"name": "nsga2", "population": 1}], "population"),
        (["random"], "expected at least two to compare, got 1"),
        ([], "expected at least two"),
        (["random", "random"], "'random' stands there twice; give each a label of its own"),
        (["random", {"name": "tpe", "label": "random"}], "'random' stands there twice"),
        (["random", {"name": "tpe", "lable": "x"}], r"searchers\[1\]\.lable: unknown key; did you mean 'label'\?$"),
        (["random", {"label": "mine"}], r"searchers\[1\]: expected a searcher's name, or"),
        (["random", {"name": "tpe", "label": "../up"}], r"searchers\[1\]\.label: expected letters"),
        (["random", 3], r"searchers\[1\]: expected a searcher's name"),
        ("random,tpe", "searchers: expected a list of searchers, got 'random,tpe'"),
    ],
)
def test_what_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        strategies_of(given)


DECLARED = [{"name": "tpe"}, {"name": "nsga2", "label": "small", "population": 6}]
SECTION = {"name": "nsga2", "population": 30}


def test_the_command_line_names_labels_and_searchers() -> None:
    """A registered searcher has its defaults, but the experiment's own keeps the options that it has there."""
    found = chosen(["small", "random", "nsga2"], DECLARED, SECTION)
    assert found == [DECLARED[1], {"name": "random"}, SECTION]


def test_without_names_all_that_are_declared_are_compared() -> None:
    assert chosen([], DECLARED, SECTION) == DECLARED
    assert chosen([], [], SECTION) == []


def test_two_declared_under_one_name_are_not_lost_but_refused_later() -> None:
    assert chosen([], [{"name": "tpe"}, {"name": "tpe", "startup": 5}], SECTION) == [
        {"name": "tpe"},
        {"name": "tpe", "startup": 5},
    ]


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="--searchers: unknown searcher 'smal'; did you mean 'small'"):
        chosen(["smal"], DECLARED, SECTION)
