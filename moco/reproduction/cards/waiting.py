"""Cards that need parts which moco does not have yet, or that nobody has written a runner for: each says what."""

from __future__ import annotations

from moco.reproduction.card import Absence, Card
from moco.reproduction.setting import Drawn, Setting

COLUMNS = ("top1_error", "parameters", "latency_ms")
NO_RUNNER = "its runner is not written yet"
_WAITING = (
    ("T3.1", "S3", "Pruning, quantisation and joint agents at c = 0.2", (), NO_RUNNER),
    ("F3.3", "S3", "Policies by layer at c = 0.3", (), NO_RUNNER),
    ("F3.4", "S3", "Accuracy over target costs of three agents", ("Q12",), NO_RUNNER),
    ("F3.5", "S3", "Pruning then quantisation, the reverse, and joint", ("Q10",), NO_RUNNER),
    ("T3.2", "S3", "The joint agent with and without sensitivity features", ("Q11",), NO_RUNNER),
)


def nothing(setting: Setting) -> Drawn:
    """No rows: the card's absences say why."""
    return Drawn((), notes=() if setting.seed else ("nothing was measured",))


WAITING = tuple(
    Card(
        id=name,
        title=title,
        system=system,
        columns=COLUMNS,
        runner=nothing,
        findings=findings,
        absences=(Absence("all", "none", reason),),
        files=frozenset(),
        needs=reason,
        aliases=("T3.2/F3.7", "F3.7") if name == "T3.2" else (),
    )
    for name, system, title, findings, reason in _WAITING
)
