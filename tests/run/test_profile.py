from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from moco.errors import ConfigError
from moco.run.profile import Profiled, side_by_side
from moco.run_folder.profile import Profile
from moco.trial import Evaluation


def on(runtime: str, clock: str) -> Profiled:
    nothing: Any = None
    profile = Profile("net", {"runtime": runtime, "clock": clock}, {}, {}, Evaluation({}), Evaluation({}))
    return Profiled(profile, nothing, nothing)


def test_runtimes_that_are_timed_by_different_clocks_are_not_compared() -> None:
    with pytest.raises(ConfigError, match="expected one clock for all, got one: processor, other: wall"):
        side_by_side([on("one", "processor"), on("other", "wall")])


def test_another_machine_is_not_timed_in_turn_with_this_one() -> None:
    away = on("remote", "processor")
    served = replace(away.profile, target={**away.profile.target, "served": "onnxruntime"})
    with pytest.raises(ConfigError, match="'remote' is another machine"):
        side_by_side([on("one", "processor"), replace(away, profile=served)])
