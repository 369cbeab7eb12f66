"""A baseline beats the delivered network only where floor and bounds hold and the scores' intervals lie apart."""

from __future__ import annotations

import pytest

from moco.certification.certificate import Attempt
from moco.run.fresh_evidence import Evidence, beats
from moco.run_folder.result import BoundRecord


def shows(score: tuple[float, float] | None, floor: bool | None = True, bound: bool | None = True) -> Evidence:
    unseen = Attempt("it", -0.01, -0.02, 4, 2, floor)
    return Evidence({}, {}, None, unseen, (BoundRecord(metric="size_mb", holds=bound),), score)


@pytest.mark.parametrize(
    ("baseline", "holds", "better"),
    [
        (shows((-0.30, -0.28)), True, True),
        (shows((-0.36, -0.34)), True, False),  # the intervals overlap: it may be noise
        (shows((-0.50, -0.48)), True, False),
        (shows((-0.30, -0.28), floor=False), True, False),
        (shows((-0.30, -0.28), floor=None), True, True),  # no floor was asked
        (shows((-0.30, -0.28), bound=False), True, False),
        (shows((-0.30, -0.28), bound=None), True, False),  # not known of it
        (shows(None), True, False),
        (shows((-0.50, -0.48)), False, True),  # it keeps what the delivered network does not
        (shows((-0.50, -0.48), floor=False), False, False),
    ],
)
def test_a_baseline_is_better(baseline: Evidence, holds: bool, better: bool) -> None:
    assert beats(baseline, shows((-0.37, -0.35)), holds=holds) is better


def test_any_baseline_that_holds_is_better_than_no_network() -> None:
    assert beats(shows((-0.9, -0.8)), None, holds=False)
    assert not beats(shows((-0.9, -0.8), floor=False), None, holds=False)
