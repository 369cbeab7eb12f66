"""The baselines of a search, made beside it and measured at its end on the evidence that the delivered network has.

They are looked at when the candidates are fixed and certified: nothing that is delivered depends on them, and one that
fails is a line of warning. Files stay in RUN/baselines/, so that a search that is resumed does not make them again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moco.baselines.baseline import Baseline, Ground, Made
from moco.errors import MocoError
from moco.evaluation.accuracy import correct, logits_of
from moco.evaluation.builder import Stopwatch
from moco.evaluation.evaluator import Evaluator, size_of
from moco.interfaces import Artifact
from moco.models.trained import Task
from moco.processor_clock import ProcessorClock
from moco.randomness import derived_seed
from moco.run.delivery import Delivery, Finisher
from moco.run.fresh_evidence import Evidence, beats, evidence_of, of_delivered, timed_ends
from moco.run.job import Prepared
from moco.run.sibling_trials import NO_SIBLINGS, SiblingTrials, sibling_trials
from moco.run_folder.network_file import file_name
from moco.run_folder.result import Rival
from moco.run_folder.writing import write_json
from moco.store_table import MALFORMED
from moco.trial import MetricValue
from moco.whole_file import write_bytes

FOLDER, KEPT = "baselines", "made.json"
"""In the run folder, where their files lie; in it, what is known of each of them."""


@dataclass(frozen=True)
class Kept:
    """A baseline that was made, its file in the run folder."""

    made: Made
    processor_s: float  # that it took to make


class Rivals:
    """The baselines of one search."""

    def __init__(self, prepared: Prepared, out: Path, progress: Callable[[str], None] = lambda _text: None) -> None:
        """Take a prepared search; `progress` is told what is being made."""
        job = prepared.job
        self.prepared, self.folder, self.progress = prepared, out / FOLDER, progress
        self.baselines = tuple(each for each in job.plan.baselines if each.fits(job.target.capabilities))
        self._ready: dict[str, list[Kept]] = {}  # by key path, those that were made for this ending already
        self.warnings = [text for each in self.baselines for text in each.warnings]
        self.ground = ground_of(prepared)

    def check(self) -> None:
        """Pass baselines that can be made of this network and its images; a ConfigError says which cannot."""
        for baseline in self.baselines:
            baseline.check(self.ground)

    def candidates(self, first: int) -> SiblingTrials:
        """Trials, numbered from `first` on, of the baselines that may be delivered, made for this ending."""
        found = NO_SIBLINGS
        for baseline in self.baselines:
            if baseline.may_be_delivered:
                try:
                    self._ready[baseline.where] = list(self._new(baseline))
                    siblings = [kept.made for kept in self._ready[baseline.where]]
                    found += sibling_trials(self.prepared, siblings, first + len(found.trials))
                except MocoError as error:
                    self.warnings.append(f"{baseline.where}: '{baseline.name}' is no candidate: {error}")
        return found

    def beside(self, delivery: Delivery | None, finisher: Finisher) -> tuple[Rival, ...]:
        """What the baselines show on the evidence that the delivered network has, which is fixed by now."""
        if not self.baselines:
            return ()
        delivered, holds = None, delivery is not None and delivery.holds
        if delivery is not None:
            delivered = of_delivered(delivery, finisher)
        found = [pair for baseline in self.baselines for pair in self._measured(baseline, finisher)]
        return tuple(replace(rival, better=beats(own, delivered, holds=holds)) for rival, own in found)

    def _measured(self, baseline: Baseline, finisher: Finisher) -> Iterator[tuple[Rival, Evidence]]:
        """Each network of the baseline with its evidence, as far as they can be had; what was delivered stands."""
        try:
            for kept in self._made(baseline):
                yield self._rival(kept, finisher)
        except MocoError as error:
            self.warnings.append(f"{baseline.where}: '{baseline.name}' is left out of the report: {error}")
        except KeyboardInterrupt:
            self.warnings.append(f"{baseline.where}: '{baseline.name}' was interrupted; --resume makes it")

    def _rival(self, kept: Kept, finisher: Finisher) -> tuple[Rival, Evidence]:
        clock, made, job = ProcessorClock(kept.processor_s), kept.made, self.prepared.job
        with closing(job.target.load(made.artifact)) as session:
            counted = {**size_of(made.artifact), **made.costs}
            evaluation = self._evaluator().measured(session, counted, Stopwatch())
            images, labels = job.data.images("certification")
            right = correct(logits_of(session, images), labels)
        evidence = evidence_of(
            self.prepared, evaluation, timed_ends(self.prepared, evaluation), right, finisher.right(None)
        )
        for doubt in evaluation.details["warnings"][:1]:
            self.warnings.append(f"the baseline '{made.name}' was timed with a warning: {doubt}")
        rival = replace(
            evidence.record(made.name),
            processor_s=clock(),
            note=made.note,
            file=str(made.artifact.path.relative_to(self.folder.parent)),
            sha256=made.artifact.sha256,
        )
        return rival, evidence

    def _evaluator(self) -> Evaluator:
        """Times a file as long as the delivered network is timed again."""
        evaluator, plan = self.prepared.evaluator, self.prepared.job.plan
        return evaluator.timing_by(
            {
                name: replace(timing, seconds=plan.delivery.seconds, seed=derived_seed(plan.seed, "retiming", name))
                for name, timing in evaluator.plan.timing.items()
            }
        )

    def _made(self, baseline: Baseline) -> Iterator[Kept]:
        """The baseline's networks, from the run folder where an earlier ending has made them."""
        earlier = self._ready.get(baseline.where) or _kept(self._known().get(self._asked(baseline)), self.folder.parent)
        yield from self._new(baseline) if earlier is None else earlier

    def _asked(self, baseline: Baseline) -> str:
        """By what a baseline is known again."""
        return hashlib.sha256(f"{baseline} {sorted(self.prepared.job.fingerprint.items())}".encode()).hexdigest()

    def _new(self, baseline: Baseline) -> Iterator[Kept]:
        """The baseline's networks, made now; the run folder keeps their files."""
        self.progress(f"making the baseline '{baseline.name}'")
        found, clock = list[Kept](), ProcessorClock()
        for made in baseline.make(self.ground):
            found.append(Kept(self._stored(made), clock()))
            yield found[-1]
            clock = ProcessorClock()
        write_json(self.folder / KEPT, {**self._known(), self._asked(baseline): [_written(kept) for kept in found]})

    def _known(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.folder / KEPT).read_text(encoding="utf-8")))
        except (OSError, *MALFORMED):
            return {}

    def _stored(self, made: Made) -> Made:
        """The baseline with its file in the run folder, which outlives the candidates' files."""
        path = self.folder / re.sub(r"[^\w.+-]+", "_", made.name) / file_name(made.artifact.path)
        write_bytes(path, made.artifact.path.read_bytes())
        if made.artifact.path != self.ground.reference.path:
            made.artifact.path.unlink(missing_ok=True)
        return replace(made, artifact=replace(made.artifact, path=path))


def ground_of(prepared: Prepared) -> Ground:
    """What a prepared search has that networks beside it are made from."""
    job, evaluator = prepared.job, prepared.evaluator
    outputs = evaluator.reference.session.run(evaluator.search.images[:1]).shape[1]
    return Ground(
        builder=evaluator.builder,
        reference=evaluator.reference.artifact,
        capabilities=job.target.capabilities,
        task=Task(tuple(job.data.train.shape), outputs, job.data.train.name, outputs),
        training=lambda: job.data.images("train"),
        seed=derived_seed(job.plan.seed, "baselines"),
    )


def _written(kept: Kept) -> dict[str, Any]:
    """As made.json has it; the name says where its file lies."""
    made = kept.made
    file = {"folder": made.artifact.path.parent.name, "sha256": made.artifact.sha256}
    costs = {name: metric.value for name, metric in made.costs.items()}
    return {"name": made.name, **file, "costs": costs, "note": made.note, "processor_s": kept.processor_s}


def _kept(written: Any, run: Path) -> list[Kept] | None:
    """The networks that made.json tells of; None where one of the files is not the one that was made."""
    try:
        return None if written is None else [_read(entry, run) for entry in written]
    except (OSError, *MALFORMED):
        return None


def _read(entry: Any, run: Path) -> Kept:
    [path] = (run / FOLDER / Path(entry["folder"]).name).glob("model.*")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise ValueError(f"{path}: is not the file that was made")
    costs = {str(name): MetricValue(float(value)) for name, value in entry["costs"].items()}
    artifact = Artifact(path, entry["sha256"], len(content))
    return Kept(Made(entry["name"], artifact, costs, entry["note"]), float(entry["processor_s"]))
