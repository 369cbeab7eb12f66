"""The kinds of inputs that are mutated: experiments, policies, and what a finished search has left on disk."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
import yaml

from benchmarks.fuzzing import soundness
from benchmarks.fuzzing.mutations import mutate_database, mutated_bytes, mutated_text, mutated_values, several
from benchmarks.fuzzing.responses import SEARCH_LIMIT_S, Response, command_response, function_response
from benchmarks.fuzzing.workbench import SHORT, Workbench, untrained
from moco.app.load_network import load_network
from moco.compression.policy_file import Origin, read_policy
from moco.experiment.build import plan_of
from moco.experiment.identity import resolved
from moco.experiment.loading import load_experiment
from moco.models import load_weights

SEARCHED = 0.2
"""Share of the small experiments that were taken which are really searched: one trial each."""
SHOWN = 4000


@dataclass(frozen=True)
class Checked:
    """A case as it went: its faults, how the command ended, the slowest response's seconds, and what was put in."""

    faults: tuple[str, ...]
    ended: str
    seconds: float
    shown: str


class Kind(ABC):
    """A kind of input; a case is a number and the seeds of its mutations."""

    name: str

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench

    def seeds(self, case: str) -> list[str]:
        """Of its mutations, one to three."""
        return [f"{case}/{place}" for place in range(Random(case).choice([1, 1, 1, 2, 3]))]

    @abstractmethod
    def check(self, case: str, seeds: Sequence[str]) -> Checked:
        """Make the input of the case with these of its mutations, and see how moco responds."""

    def minimised(self, case: str, seeds: Sequence[str]) -> list[str]:
        """As few of the mutations as still give a fault."""
        left = list(seeds)
        for seed in seeds:
            fewer = [other for other in left if other != seed]
            if self.check(case, fewer).faults:
                left = fewer
        return left


class Experiments(Kind):
    """Experiments of the repository and small ones: loaded, planned, loaded again; some are searched."""

    name = "experiments"

    def check(self, case: str, seeds: Sequence[str]) -> Checked:
        """See `soundness` for what may not be taken."""
        text, is_small = self._text(case, seeds)
        path = self.bench.folder / "experiment.yaml"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        response = function_response(lambda: self._loaded(path))
        responses, faults = [response], response.faults()
        if response.exit_code == 0:
            nonsense = response.value if seeds else []
            faults += [f"taken: {what}" for what in [*nonsense, *soundness.of_experiment(text)]]
            if is_small and Random(case).random() < SEARCHED:
                out = self.bench.folder / "searched" / case.replace("/", "-")
                changes = [part for override in SHORT for part in ("--set", override)]
                responses.append(command_response("search", path, "--out", out, *changes, limit_s=SEARCH_LIMIT_S))
                faults += [f"searched: {fault}" for fault in responses[-1].faults(SEARCH_LIMIT_S)]
        ended = "searched, " * (len(responses) > 1) + f"exit {responses[-1].exit_code}"
        return Checked(tuple(faults), ended, response.seconds, f"{text[:SHOWN]}\n{responses[-1].error}")

    def _text(self, case: str, seeds: Sequence[str]) -> tuple[str, bool]:
        rng = Random(f"{case} base")
        is_small = rng.random() < 0.6
        content: Any = self.bench.small(rng) if is_small else yaml.safe_load(rng.choice(self.bench.published))
        if rng.random() < 0.6:
            return yaml.dump(several(mutated_values, content, list(seeds)), sort_keys=False), is_small
        text = yaml.safe_dump(content, sort_keys=False) if is_small else rng.choice(self.bench.published)
        return str(several(mutated_text, text, list(seeds))), is_small

    def _loaded(self, path: Path) -> list[str]:
        """What is wrong with the experiment in the form that a run folder holds."""
        experiment = load_experiment(path)
        plan_of(experiment, self.bench.folder / "planned")
        written = resolved(experiment)
        again = self.bench.folder / "again.yaml"
        again.write_text(yaml.safe_dump(written, sort_keys=False), encoding="utf-8")
        return (
            [] if resolved(load_experiment(again)) == written else ["with its defaults spelled out it is another one"]
        )


class Policies(Kind):
    """Policies as text and as values: read, and built where they fit; some by the command."""

    name = "policies"

    def check(self, case: str, seeds: Sequence[str]) -> Checked:
        """See `soundness` for what may not be taken."""
        rng, path = Random(f"{case} base"), self.bench.folder / "policy.json"
        content: Any = self.bench.policy(rng)
        if rng.random() < 0.6:
            text = json.dumps(several(mutated_values, content, list(seeds)), default=repr)
        else:
            text = str(several(mutated_text, json.dumps(content, indent=1), list(seeds)))
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        job = self.bench.prepared.job
        read = function_response(lambda: read_policy(path, Origin(job.network_name, job.plan.space.ranking)))
        responses, faults = [read], read.faults()
        if read.exit_code == 0:
            faults += [f"taken: {what}" for what in soundness.of_policy(text)]
            responses.append(function_response(lambda: self.bench.prepared.evaluator.builder.build(read.value)))
            faults += responses[-1].faults()
        if Random(case).random() < 0.04:
            out = self.bench.folder / "applied" / case.replace("/", "-")
            responses.append(
                command_response(
                    "apply", self.bench.folder / "prepared.yaml", "--policy", path, "--out", out, limit_s=SEARCH_LIMIT_S
                )
            )
            faults += responses[-1].faults(SEARCH_LIMIT_S)
        ended = f"{len(responses)} responses, exit {responses[-1].exit_code}"
        return Checked(
            tuple(faults), ended, max(one.seconds for one in responses[:2]), f"{text[:SHOWN]}\n{responses[-1].error}"
        )


class Leftovers(Kind):
    """Ledger, evaluation store, weights and records of a finished search: reported, resumed, loaded."""

    name = "leftovers"
    FILES = (
        "run/study.db",
        "run/study.db",
        "run/study.db",
        "evaluations.db",
        "evaluations.db",
        "run/best/network.safetensors",
        "run/best/policy.json",
        "run/best/model.onnx",
        "run/manifest.json",
        "run/result.json",
        "run/experiment.yaml",
        "run/trials.json",
        "weights",
    )

    def check(self, case: str, seeds: Sequence[str]) -> Checked:
        """A broken file is told in one line or does not matter; nothing is checked of what a report says then."""
        rng, folder = Random(f"{case} base"), self.bench.copied("broken")
        name = rng.choice(self.FILES)
        if name == "weights":
            return self._weights(seeds)
        path = folder / name
        if not path.exists():
            return Checked((f"no {name}: nothing was broken",), f"no {name}", 0.0, "")
        self._break(path, rng.random(), seeds)
        responses = [command_response("report", folder / "run")]
        resumes = rng.random() < (0.9 if name.endswith(".db") else 0.25)
        if resumes:
            longer = ("--out", folder / "run", "--resume", "--set", "budget.trials=5")
            responses.append(command_response("search", folder / "tiny.yaml", *longer, limit_s=SEARCH_LIMIT_S))
        if name.startswith("run/best"):
            responses.append(
                function_response(lambda: load_network(untrained(), folder / "run" / "best", torch.zeros(2, 1, 8, 8)))
            )
        report, *others = responses
        faults = [*report.faults(), *(fault for one in others for fault in one.faults(SEARCH_LIMIT_S))]
        ended = f"{name}: exit {', '.join(str(response.exit_code) for response in responses)}"
        return Checked(
            tuple(faults), ended, responses[0].seconds, f"{name}\n{''.join(response.error for response in responses)}"
        )

    def _weights(self, seeds: Sequence[str]) -> Checked:
        path = self.bench.folder / "broken.safetensors"
        path.write_bytes(several(mutated_bytes, self.bench.weights.read_bytes(), list(seeds)))
        network = untrained()
        response: Response = function_response(lambda: load_weights(network, path))
        faults = response.faults()
        if response.exit_code == 0 and not all(
            bool(torch.isfinite(t.float()).all()) for t in network.state_dict().values()
        ):
            faults.append("taken: weights that are not finite")
        return Checked(tuple(faults), f"weights: exit {response.exit_code}", response.seconds, response.error)

    @staticmethod
    def _break(path: Path, drawn: float, seeds: Sequence[str]) -> None:
        if path.suffix == ".db" and drawn < 0.6:
            for seed in seeds:
                mutate_database(path, Random(seed))
        elif path.suffix in {".json", ".yaml"} and drawn < 0.6:
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".json" and drawn < 0.4:
                text = json.dumps(several(mutated_values, json.loads(text), list(seeds)), default=repr)
            else:
                text = several(mutated_text, text, list(seeds))
            path.write_text(text, encoding="utf-8", errors="surrogatepass")
        elif drawn > 0.97 and seeds:
            path.unlink()
        else:
            path.write_bytes(several(mutated_bytes, path.read_bytes(), list(seeds)))


KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (Experiments, Policies, Leftovers)}
