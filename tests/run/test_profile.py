from __future__ import annotations

import pytest

from moco.errors import ConfigError
from moco.run.profile import check_comparable

HERE = {"runtime": "one", "clock": "processor"}


def test_runtimes_that_are_timed_by_different_clocks_are_not_compared() -> None:
    with pytest.raises(ConfigError, match="expected one clock for all, got one: processor, other: wall"):
        check_comparable([HERE, {"runtime": "other", "clock": "wall"}])


def test_another_machine_is_not_timed_in_turn_with_this_one() -> None:
    away = {"runtime": "remote", "clock": "processor", "served": "one"}
    with pytest.raises(ConfigError, match="'remote' is another machine"):
        check_comparable([HERE, away])
    check_comparable([away])


def test_runtimes_here_by_one_clock_are_compared() -> None:
    check_comparable([HERE, {**HERE, "runtime": "other"}])
