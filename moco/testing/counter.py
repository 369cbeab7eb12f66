"""The contract of a counter of energy (moco/interfaces.py: Counter); give options under which it can be read."""

from __future__ import annotations

import json
import math
import time

from moco.errors import MeasurementError
from moco.testing.suite import Suite, raises_in_one_line

READINGS = 5


class CounterSuite(Suite):
    """What every counter holds to, whether it can be read on this machine or not."""

    kind = "counter"

    def check_it_says_whether_it_can_be_read(self) -> None:
        reason = self.make().available()
        assert isinstance(reason, str)
        assert "\n" not in reason

    def check_it_changes_every_so_often(self) -> None:
        assert 0 < self.make().tick_s < math.inf

    def check_energy_never_falls(self) -> None:
        counter, found = self.make(), []
        if not counter.available():
            for _ in range(READINGS):
                found.append(counter.joules())
                time.sleep(counter.tick_s)
        assert all(math.isfinite(joules) for joules in found)
        assert found == sorted(found)

    def check_what_is_not_there_is_no_zero(self) -> None:
        counter = self.make()
        if counter.available():
            with raises_in_one_line(MeasurementError):
                counter.joules()

    def check_the_description_is_json_and_the_same_for_a_second_counter(self) -> None:
        if not self.make().available():
            first, second = (json.dumps(self.make().describe(), sort_keys=True) for _ in range(2))
            assert first == second
