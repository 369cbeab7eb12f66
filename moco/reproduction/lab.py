"""A network that is ready to be compressed, scored and timed: what every card measures with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moco.compression.policy_settings import NEUTRAL
from moco.data.split_data import SplitData
from moco.encoding import decode
from moco.errors import PolicyRejectedError
from moco.evaluation.accuracy import Correct, correct, logits_of
from moco.evaluation.evaluator import Evaluator
from moco.experiment.build import build_job, untracked
from moco.experiment.loading import experiment_of
from moco.experiment.options import options_of
from moco.guarded_objective import posed
from moco.interfaces import Target
from moco.metrics import METRICS
from moco.policy import Policy
from moco.products import with_products
from moco.randomness import generator
from moco.registry import DEFAULT_TARGET, plugin
from moco.reproduction.raw import DataFacts, Reading
from moco.reproduction.setting import Setting
from moco.reproduction.subjects import Subject, sections
from moco.run.job import Prepared, prepare
from moco.strategy import Strategy
from moco.study import Budget, Start, Study
from moco.trial import Evaluation, Point, Trial

SEARCHED = ("latency_ms", "throughput_ips")
"""What candidates of a search are timed for; a row of a card has every metric."""


@dataclass(frozen=True)
class Lab:
    """A subject with what may be done to it.

    Attributes:
        timed: evaluates a policy with what a search needs to know of its time.
        untimed: evaluates a policy without running its clock.
    """

    subject: Subject
    setting: Setting
    prepared: Prepared
    timed: Evaluator
    untimed: Evaluator

    @property
    def reference(self) -> Mapping[str, float]:
        """The metrics of the uncompressed network, on the search split."""
        found = with_products(self.prepared.evaluator.reference.evaluation.metrics, METRICS)
        return {name: metric.value for name, metric in found.items()}

    @cached_property
    def fresh_reference(self) -> Correct:
        """Which images of the certification split the uncompressed network has right."""
        return self._scored(self.prepared.evaluator.reference.session, "certification")

    def fresh(self, policy: Policy) -> Correct:
        """Which images of the certification split, which no search has seen, the policy's network has right."""
        return self.fresh_reference if policy.key == NEUTRAL.key else self.right(policy, "certification")

    def right(self, policy: Policy, split: str) -> Correct:
        """Which images of a split the policy's network has right."""
        return self.right_on(policy, (split,))[split]

    def right_on(self, policy: Policy, splits: Sequence[str]) -> dict[str, Correct]:
        """The same of several splits, by one network."""
        artifact, _ = self.prepared.evaluator.builder.build(policy)
        with closing(self.prepared.job.target.load(artifact)) as session:
            return {split: self._scored(session, split) for split in splits}

    def profile(self, policy: Policy | None) -> dict[str, Reading]:
        """Every metric of the policy's network that can be measured here; None looks at the reference."""
        evaluator = self.prepared.evaluator
        found = evaluator.reference.evaluation if policy is None else evaluator.evaluate(policy)
        return {name: Reading.of(name, metric) for name, metric in with_products(found.metrics, METRICS).items()}

    def search(
        self,
        searcher: Mapping[str, Any],
        trials: int,
        *,
        timed: bool = True,
        points: Sequence[Point] = (),
        objective: Mapping[str, Any] | None = None,
    ) -> list[Trial]:
        """The trials of a search with this searcher, `points` evaluated first; nothing is delivered."""
        name = str(searcher["name"])
        kind = plugin("searcher", name)
        given = {key: value for key, value in searcher.items() if key != "name"}
        strategy = Strategy(name, name, options_of(kind.Options, given, "searcher"), kind)
        problem = self.prepared.problem if objective is None else self._problem(objective)
        starts = [Start(f"given {n}", point) for n, point in enumerate(points)]
        evaluator = self.timed if timed else self.untimed
        study = Study(problem, strategy.build(problem, self.setting.seed), evaluator, starts=starts)
        study.run(Budget(trials=trials))
        return list(study.trials)

    def uniform(self, level: float) -> Policy:
        """The policy that compresses every layer group alike, by this share of what the space allows."""
        return self.policy(self.prepared.space.uniform(level))

    def policy(self, point: Point) -> Policy:
        """The policy of a point."""
        return self.prepared.space.canonical(point)

    def random_points(self, count: int) -> list[Point]:
        """Points drawn uniformly from the space, by the seed."""
        space, drawn = self.prepared.space, generator(self.setting.seed, "reproduction", "random points")
        return [decode(space, drawn.random(len(space.distributions))) for _ in range(count)]

    def evaluated(self, policy: Policy, *, timed: bool = True) -> Evaluation | None:
        """The evaluation of a policy; None where its network cannot be built."""
        try:
            return (self.timed if timed else self.untimed).evaluate(policy)
        except PolicyRejectedError:
            return None

    @property
    def unmeasured(self) -> Mapping[str, str]:
        """Why a metric could not be measured here, by metric."""
        return self.prepared.evaluator.unmeasured

    @property
    def hardware(self) -> str:
        """What a timed number depends on, in one line."""
        return machine_line(self.prepared.job.target)

    @property
    def facts(self) -> DataFacts:
        """Which images it was scored on."""
        return facts_of(self.prepared.job.data)

    def _problem(self, objective: Mapping[str, Any]) -> Any:
        kind = plugin("objective", str(objective["protocol"]))
        given = {key: value for key, value in objective.items() if key != "protocol"}
        made = kind(options_of(kind.Options, given, "objective"))
        return posed(made, self.prepared.space, self.prepared.evaluator.reference.evaluation.metrics)

    def _scored(self, session: Any, split: str) -> Correct:
        images, labels = self._images[split]
        return correct(logits_of(session, images), labels)

    @cached_property
    def _images(self) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
        return {split: self.prepared.job.data.images(split) for split in ("search", "certification")}

    def labels(self, split: str) -> np.ndarray:
        """The labels of a split's images."""
        return self._images[split][1]


def machine_line(target: Target) -> str:
    """What a number of this target depends on, in one line."""
    described = target.describe()
    wanted = ("processor", "runtime", "version", "threads", "clock")
    return ", ".join(f"{key} {described[key]}" for key in wanted if key in described)


def facts_of(data: SplitData) -> DataFacts:
    """Which images a network is scored on."""
    return DataFacts(
        source=Path(data.train.name).name,  # a file by its name: where it lies is the machine's own
        sha256=" ".join(one[:16] for one in data.content_hashes),
        splits=dict(data.splits.sizes),
        fingerprints={name: one[:16] for name, one in data.splits.hashes.items()},
    )


@contextmanager
def opened(  # noqa: PLR0913 - four of them by keyword, each may be left out
    subject: Subject,
    setting: Setting,
    space: Mapping[str, Any],
    *,
    recovery: Sequence[Any] = (),
    objective: Mapping[str, Any] | None = None,
    store: Path | None = None,
    like: Lab | None = None,
) -> Iterator[Lab]:
    """The subject, built, scored and timed with this space; its files go when the block ends.

    With an evaluation store nothing is measured but what the objective needs, and no policy of a seed twice. A lab of
    the same subject spares the export of the network.
    """
    torch.set_num_threads(1)
    given = {
        "name": subject.name,
        "seed": setting.seed,
        **sections(subject, setting),
        "space": {"groups": "per-block", **space},
        "recovery": list(recovery),
        "objective": dict(objective or {"protocol": "front"}),
        "target": {"runtime": DEFAULT_TARGET, "threads": 1, "timing": _timing(setting)},
    }
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        setting.tell(f"{subject.name}: {', '.join(sorted(space))}")
        experiment = untracked(experiment_of(given)).model_copy(update={"store": str(store) if store else False})
        job = replace(build_job(experiment, folder / "run"), profile_only=store is None)
        template = None if like is None else like.prepared.evaluator.builder.template
        prepared = stack.enter_context(closing(prepare(job, folder, template=template)))
        whole = prepared.evaluator
        fast = {name: plan for name, plan in whole.plan.timing.items() if name in SEARCHED}
        yield Lab(subject, setting, prepared, whole.timing_by(fast), whole.timing_by({}))


def _timing(setting: Setting) -> dict[str, float]:
    if setting.full:
        return {"seconds_batch1": 0.2, "seconds_batch32": 0.5}
    return {"seconds_batch1": 0.06, "seconds_batch32": 0.1, "slot_ms": 4.0}
