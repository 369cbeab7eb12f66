"""Which of a Jetson board's rails are summed for the power of the whole board."""

from __future__ import annotations

from collections.abc import Sequence

from moco.errors import MeasurementError, nearest

INPUTS = ("VDD_IN", "VIN", "POM_5V_IN")
"""Names of the rail that carries a board's whole input, by board: Orin Nano and NX, Xavier, Nano and TX2. On AGX Orin
no rail does, and sources disagree whether VIN_SYS_5V0 is one of those to be summed: there the user has to say."""


def chosen_rails(there: Sequence[str], asked: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the rails to sum; a MeasurementError where a rail is not there, or none is known to carry all."""
    if asked is not None:
        for name in asked:
            if name not in there:
                raise MeasurementError(f"rails: there is no rail '{name}'{nearest(name, there)}")
        if not asked:
            raise MeasurementError("rails: expected at least one rail, got none")
        return tuple(asked)
    for name in INPUTS:
        if name in there:
            return (name,)
    raise MeasurementError(f"rails: none of {', '.join(sorted(there))} is known to carry the whole board: name them")
