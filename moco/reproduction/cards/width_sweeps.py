"""Latency by the width of one layer group, all other layers whole: whether each channel less saves time (Q15)."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Any

from moco.interfaces import Session
from moco.measurement import TimingPlan
from moco.reproduction.lab import Lab
from moco.reproduction.subjects import DIGITS

WIDTHS = 16
"""Shares of a group's channels that are timed: of 16 channels each, of 64 every fourth."""


def width_sweeps(lab: Lab) -> list[dict[str, Any]]:
    """A sweep of each group; at the small scale one a seed on digits, so that few seeds time one group twice.

    Each gives the share of the channels that is kept, and the ends of the interval of the latency ratio to the group
    of full width: all files are open at once and timed in turn.
    """
    groups = list(lab.prepared.space.distributions)
    if not lab.setting.full and lab.subject is DIGITS:
        groups = [groups[lab.setting.seed % len(groups)]]
    return [{"network": lab.subject.name, "group": name, **_sweep(lab, name)} for name in groups]


def _sweep(lab: Lab, name: str) -> dict[str, Any]:
    lab.setting.tell(f"{lab.subject.name}: widths of {name}")
    space, builder = lab.prepared.space, lab.prepared.evaluator.builder
    whole = space.uniform(0.0)
    shares = [step / WIDTHS for step in range(WIDTHS, 0, -1)]
    sessions: list[Session] = []
    with ExitStack() as stack:
        for share in shares:
            point = {**whole, name: min(share, whole[name])}
            artifact, _ = builder.build(lab.policy(point))
            sessions.append(stack.enter_context(closing(lab.prepared.job.target.load(artifact))))
        plan = TimingPlan(seconds=float(lab.setting.of(1, 5)) / 4, slot_ms=4.0, seed=lab.setting.seed)
        found = lab.prepared.job.target.measure(sessions, plan)
    ratios = [found.ratio(session=place) for place in range(1, len(sessions))]
    return {
        "widths": shares[::-1],
        "low": [*(float(f"{one.low:.6g}") for one in reversed(ratios)), 1.0],
        "high": [*(float(f"{one.high:.6g}") for one in reversed(ratios)), 1.0],
    }
