from __future__ import annotations

import pytest

from moco.errors import ConfigError
from moco.run.profile import apart, check_comparable

HERE = {"runtime": "one", "clock": "processor"}


def test_runtimes_that_are_timed_by_different_clocks_are_not_compared() -> None:
    with pytest.raises(ConfigError, match="expected one clock for all, got one: processor, other: wall"):
        check_comparable([HERE, {"runtime": "other", "clock": "wall"}])


def test_another_machine_is_not_timed_in_turn_with_this_one() -> None:
    away = {"runtime": "remote", "clock": "wall", "served": "one"}
    check_comparable([HERE, away])  # each by its own clock, since no time of one is related to the other's
    assert "'remote' (one elsewhere) is not timed in turn with the others" in apart([HERE, away])
    assert apart([away]) == apart([HERE, HERE]) == ""


def test_runtimes_here_by_one_clock_are_compared() -> None:
    check_comparable([HERE, {**HERE, "runtime": "other"}])
