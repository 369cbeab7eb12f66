"""Which candidates are safe, and which are of one network."""

from __future__ import annotations

import pytest

from moco.compression.policy_settings import NEUTRAL
from moco.finalists.history import asked, asked_in_bits, finalists
from moco.policy import Policy
from moco.run.candidates import _kin, _whole
from moco.trial import Suggestion, Trial, TrialState
from tests.compression.space.test_codec import space_of


@pytest.mark.parametrize(
    ("precisions", "safe"), [(("float32", "int8"), 1), (("int8",), 1), (("mixed",), 1), (("float32",), 0)]
)
def test_the_whole_network_in_integers_is_safe_and_the_reference_is_none(
    precisions: tuple[str, ...], safe: int
) -> None:
    found = _whole(space_of(precisions=precisions))
    assert len(found) == safe
    assert NEUTRAL not in found


def test_one_network_after_other_rounds_and_in_other_bits_is_of_one_kin() -> None:
    def trial(number: int, suggestion: Suggestion) -> Trial:
        return Trial(number, suggestion, TrialState.COMPLETE, {}, policy=Policy.of({}))

    first, second = (trial(number, Suggestion(number, {})) for number in range(2))
    after = [trial(2, asked(first, 0, 100, 0)), trial(3, asked(second, 0, 100, 1)), trial(4, asked(first, 1, 900, 2))]
    fewer = trial(5, asked_in_bits(finalists(after)[-1], {}, 3))
    kin = list(_kin([first, second, *after, fewer]))
    assert kin[2] == kin[4] == kin[5]
    assert len(set(kin)) == 4
