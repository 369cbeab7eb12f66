"""A search space that holds only what pays on the target: its network is probed first, or the store is asked."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from moco.analysis.payoff.probe import PayOffStore, ProbePlan, context, probe
from moco.analysis.payoff.verdicts import PayOffReport, losing_moves
from moco.compression.channels.groups import ChannelGraph
from moco.compression.counting import Counts
from moco.compression.precision import timed_as
from moco.compression.space.network_space import SpaceOptions
from moco.export.probe_geometry import geometries
from moco.interfaces import Target


@dataclass(frozen=True)
class PayOffUse:
    """What a search makes of the pay-off."""

    plan: ProbePlan
    paying_widths: bool  # whether only widths that are faster than all wider ones are offered
    drop_losing: bool  # whether precisions and factorisations that gain no time are left out, by group

    def applied(self, options: SpaceOptions, report: PayOffReport) -> SpaceOptions:
        """The options with what does not pay taken out; groups that were not probed are offered everything."""
        offered, losing = options.offered, options.losing
        if self.paying_widths:
            probed = {(payoff.geometry, payoff.precision) for payoff in report.payoffs}
            offered = {
                precision: {
                    group: report.of(group, timed_as(precision)).paying_widths
                    for group, geometry in report.groups.items()
                    if (geometry, timed_as(precision)) in probed
                }
                for precision in options.precisions
            }
        if self.drop_losing:
            losing = frozenset((lost.group, lost.precision, lost.move) for lost in losing_moves(report))
        return replace(options, offered=offered, losing=losing)


def probed(target: Target, counts: Counts, graph: ChannelGraph, plan: ProbePlan, store: Path | None) -> PayOffReport:
    """The pay-off of every channel group of a network on the target.

    `store` is the evaluation store's file, which is asked first and told; None keeps nothing. A MeasurementError where
    the target cannot run the layers.
    """
    found = geometries(counts, graph.groups.values())
    found = replace(found, left_out={**graph.left_out, **found.left_out})
    kept = PayOffStore(store, context(target, plan)) if store is not None else None
    try:
        with tempfile.TemporaryDirectory() as folder:
            return probe(target, found, plan, Path(folder), kept)
    finally:
        if kept is not None:
            kept.close()
