"""`moco payoff`: which widths, precisions and ranks make a network's layers faster on the target, before a search."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from moco.analysis.payoff.paying_space import probed
from moco.analysis.payoff.probe import ProbePlan
from moco.analysis.payoff.verdicts import PayOffReport
from moco.compression.channels.groups import channel_graph
from moco.compression.counting import count
from moco.experiment.build import Overrides, build_job, untracked
from moco.experiment.schema import Experiment
from moco.report.payoff_figure import HEAD, lead, left_out, payoff_page, payoff_rows, payoff_warnings
from moco.run_folder.writing import refuse_owned, write_text
from moco.whole_file import writes


def probed_experiment(experiment: Experiment, plan: ProbePlan, out: Path, modules: Path | None = None) -> PayOffReport:
    """The pay-off of an experiment's network on its target, also written to `out`.

    Pay-offs are kept in the experiment's evaluation store; `store: false` keeps none. A MocoError where the network
    cannot be traced, the target cannot run it, or `out` cannot be written.
    """
    start = time.perf_counter()
    refuse_owned(out)
    with writes(f"{out}: the pay-off"):  # before anything is measured, lest a minute be spent for nothing
        out.mkdir(parents=True, exist_ok=True)
    unrecorded = untracked(experiment).model_copy(update={"store": experiment.store})
    job = build_job(unrecorded, out, Overrides(folder=modules))
    network, image = job.network.eval(), job.data.train.shape
    counts = count(network, image)
    graph = channel_graph(network, torch.zeros(2, *image), counts)
    plan = replace(plan, spent=plan.spent + time.perf_counter() - start)
    report = probed(job.target, counts, graph, plan, job.plan.candidates.store)
    write_payoff(report, job.plan.name, out)
    return report


def write_payoff(report: PayOffReport, name: str, out: Path) -> None:
    """Write payoff.json and payoff.html; a RunFolderError where the folder cannot be written."""
    data = report.to_json()
    write_text(out / "payoff.json", json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    write_text(out / "payoff.html", payoff_page(data, name))


def payoff_table(report: PayOffReport) -> RenderableType:
    """A row for each pair of layers and precision: its time, the widths and the ranks that pay; doubts below."""
    data = report.to_json()
    table = Table(title=lead(data), title_justify="left", box=None, pad_edge=False, header_style="dim")
    for name in HEAD:
        table.add_column(name, overflow="fold", no_wrap=name in {"precision", "time"})
    for row in payoff_rows(data):
        table.add_row(*map(Text, row))
    notes = [Text(f"warning: {text}", "yellow") for text in payoff_warnings(data)]
    notes += [Text(f"not probed: {text}") for text in left_out(data)]
    return Group(table, *notes)
