"""`moco payoff`: which widths, precisions and ranks make a network's layers faster on the target, before a search."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import torch

from moco.analysis.payoff.paying_space import probed
from moco.analysis.payoff.probe import ProbePlan
from moco.analysis.payoff.verdicts import PayOffReport
from moco.compression.channels.groups import channel_graph
from moco.compression.counting import count
from moco.experiment.build import Overrides, build_job, untracked
from moco.experiment.schema import Experiment
from moco.report.payoff_figure import payoff_page
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
