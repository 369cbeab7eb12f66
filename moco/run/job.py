"""A search of a network with all its parts built, and what is prepared from it before the first trial."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from moco.analysis.payoff.paying_space import PayOffUse, probed
from moco.analysis.payoff.verdicts import PayOffReport
from moco.certification.certificate import Floor, check_possible
from moco.compression.collecting import CalibrationData
from moco.compression.compressor import Compressor
from moco.compression.rankings.ranking import USUAL_RANKING
from moco.compression.space.layer_groups import grouped
from moco.compression.space.network_space import SpaceOptions, network_space
from moco.data import DataSets
from moco.data.splits import Splits, make_splits
from moco.errors import MeasurementError
from moco.evaluation.builder import Builder, Stopwatch
from moco.evaluation.evaluator import EvaluationPlan, Evaluator, Images
from moco.evaluation.store import EvaluationStore
from moco.execution.device_lock import DeviceLock
from moco.export.ranges import RangeOptions
from moco.interfaces import Objective, ObjectiveTerms, Reporter, Target
from moco.measurement import TimingPlan
from moco.problem import Problem
from moco.randomness import derived_seed, generator
from moco.recovery.recovery import Recovery, RecoveryPlan
from moco.recovery.step import PrunedGroups
from moco.run.starts import StartPlan
from moco.run.warnings import idle_options, slow_strategies
from moco.secret import Secret
from moco.space import SearchSpace
from moco.strategy import Strategy
from moco.study import Budget, Start
from moco.tracking.background import BackgroundReporter

DISTRIBUTIONS = (
    "moco", "numpy", "onnx", "onnxruntime", "onnxscript", "optuna", "scikit-learn",
    "torch", "torchvision", "tensorly",
)  # fmt: skip


@dataclass(frozen=True)
class DeliveryOptions:
    """How the honest end is made.

    Attributes:
        confidence: of the certificate, one-sided.
        attempts: how many candidates may be tried on the certification split.
        seconds: of the longer timing, for each file and batch size.
    """

    confidence: float = 0.95
    attempts: int = 5
    seconds: float = 2.0


@dataclass(frozen=True)
class Job:
    """All parts of a search, built from an experiment or from Python.

    Attributes:
        start: the starts as the experiment states them, in JSON.
        compared: the strategies of a comparison, in place of the searcher.
        time_everything: time also what the objective does not ask for: for a profile, that certifies nothing.
        config: the resolved experiment, the secrets of its addresses starred.
        fingerprint: hashes by part (settings, network, data) of all that the trials of one search must share.
        workers: processes that evaluate at the same time; one is this process.
        older_fingerprint: those of its parts that an earlier version made otherwise: with a password in them.
    """

    name: str
    seed: int
    network: nn.Module
    network_name: str
    data: DataSets
    split_sizes: Mapping[str, int]
    groups: str | Mapping[str, Sequence[str]]
    ignore: Sequence[str]
    space: SpaceOptions
    recovery: RecoveryPlan
    probe: PayOffUse | None
    ranges: RangeOptions | None
    target: Target
    timing: Mapping[str, TimingPlan]
    objective: Objective
    searcher: str
    searcher_options: Any
    start: Any
    starts: StartPlan
    budget: Budget
    delivery: DeliveryOptions
    config: Mapping[str, Any]
    fingerprint: Mapping[str, str]
    older_fingerprint: Mapping[str, str] = field(default_factory=dict)
    ledger: bool = True
    storage: Secret | None = None
    store: Path | None = None
    reporters: Sequence[Reporter] = ()
    warnings: tuple[str, ...] = ()
    time_everything: bool = False
    compared: tuple[Strategy, ...] = ()
    workers: int = 1

    @property
    def ranking(self) -> str | dict[str, Any]:
        """The ranking of filters, by its name where it has no options: what a policy's reader must know."""
        return next((m.ranking for m in self.space.methods if m.ranking is not None), USUAL_RANKING)

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        """All that search: the strategies of a comparison, or the one searcher, under its section's name."""
        return self.compared or (Strategy("searcher", self.searcher, self.searcher_options),)


@dataclass(frozen=True)
class Prepared:
    """A job whose network is traced, exported, scored and timed: ready for its first trial."""

    job: Job
    splits: Splits
    compressor: Compressor
    builder: Builder
    evaluator: Evaluator
    space: SearchSpace
    problem: Problem
    starts: tuple[Start, ...] = ()
    store: EvaluationStore | None = None
    warnings: tuple[str, ...] = ()
    outlook: str = ""
    payoff: PayOffReport | None = None

    def close(self) -> None:
        """Close the reference's session and the store."""
        self.evaluator.close()


def trace(job: Job, payoff: PayOffReport | None = None) -> tuple[Compressor, SearchSpace, PayOffReport | None]:
    """The coupled channels of the network, its search space and the pay-off behind it: all that needs no data.

    Args:
        payoff: as an earlier session has measured it; None measures it where the job asks for it.

    Raises:
        CompressionError, SpaceError, ConfigError: the network cannot be traced, or nothing is left to choose.
    """
    job.network.eval()
    example = torch.zeros(2, *job.data.train.shape)
    compressor = Compressor.of(job.network, example)
    found = grouped(job.network, compressor.counts, compressor.graph, job.groups, job.ignore)
    options = job.space
    if job.probe is not None:
        payoff = payoff or probed(job.target, compressor.counts, compressor.graph, job.probe.plan, job.store)
        options = job.probe.applied(options, payoff)
    space = network_space(found, compressor.counts, compressor.costs, options, job.target.capabilities)
    return compressor, space, payoff


def prepare(
    job: Job,
    folder: Path,
    constants: Mapping[str, float] | None = None,
    payoff: PayOffReport | None = None,
    starts: Sequence[Start] | None = None,
) -> Prepared:
    """Trace, split, export the template, build the reference, score and time it.

    Args:
        folder: where the files of candidates go.
        constants: the reference's timed metrics, as an earlier session of this search has measured them.
        payoff: of the network's layers, likewise.
        starts: of this search, likewise; None finds them.

    Raises:
        MocoError: in one line, what does not fit.
    """
    compressor, space, payoff = trace(job, payoff)
    known, noticed = list(starts or ()), list[str]()
    if not job.time_everything:
        noticed += slow_strategies(job.strategies, space, job.budget.trials)  # before minutes go to the reference
        if starts is None:
            known, more = job.starts.known(compressor, space)
            noticed += more
    splits = make_splits(job.data.train.labels, job.data.test.labels, job.split_sizes, job.seed)
    outlook = "" if job.time_everything else certificate_outlook(job)
    calibration = job.data.train.images(splits.calibration)
    data = _ranking_data(job, splits)
    compressor = compressor.prepared_for(job.space.methods, data, generator(job.seed, "ranking"))
    images = torch.from_numpy(calibration)
    seed = derived_seed(job.seed, "recovery")
    training = partial(_training_images, job, splits)
    recovery = Recovery(job.network, compressor.graph, images, job.recovery, seed, training)
    builder = Builder(compressor, calibration, recovery, folder, job.ranges, job.target.capabilities.placement)
    search = Images(job.data.test.images(splits.search), np.asarray(job.data.test.labels)[splits.search])
    store = EvaluationStore(job.store, context(job, splits)) if job.store is not None else None
    timing = {
        name: _seeded(plan, job.seed, name)
        for name, plan in job.timing.items()
        if job.time_everything or name in set(job.objective.metrics)
    }
    plan = EvaluationPlan(timing, constants or {})
    with ExitStack() as on_failure:
        if store is not None:
            on_failure.callback(store.close)
        undisturbed = partial(_undisturbed, DeviceLock(job.target.describe()), job.reporters)
        evaluator = Evaluator(builder, job.target, search, plan, store, undisturbed)
        on_failure.callback(evaluator.close)
        if evaluator.unmeasured and not job.time_everything:
            name, why = next(iter(evaluator.unmeasured.items()))
            raise MeasurementError(f"the reference's {name} could not be measured: {why}")
        problem = job.objective.problem(space, evaluator.reference.evaluation.metrics)
        if not job.time_everything:
            noticed += idle_options(job.strategies, problem)
        if starts is None and not job.time_everything:
            known, more = job.starts.with_stored(known, problem, evaluator)
            noticed += more
        on_failure.pop_all()
    warnings = (*job.warnings, *noticed, *_left_alone(job, compressor, recovery))
    return Prepared(
        job, splits, compressor, builder, evaluator, space, problem, tuple(known), store, warnings, outlook, payoff
    )


def _left_alone(job: Job, compressor: Compressor, recovery: Recovery) -> Iterator[str]:
    """Layers that do not take what is asked of them, each with the reason."""
    for name, reason in compressor.graph.left_out.items():
        yield f"'{name}' is left out: {reason}"
    found = grouped(job.network, compressor.counts, compressor.graph, job.groups, job.ignore)
    layers = {layer.name: layer for layer in compressor.counts.layers}
    for method in job.space.methods:
        yield from method.left_alone(found, layers)
    pruning = [method for method in job.space.methods if method.removes_channels]
    groups = (
        frozenset(channels.name for group in found for channels in group.channel_groups) if pruning else frozenset()
    )
    refitted = groups if any(method.refits_readers for method in pruning) else frozenset[str]()
    yield from recovery.warnings(PrunedGroups(groups, refitted))


def _training_images(job: Job, splits: Splits) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = job.data.train.images(splits.train), np.asarray(job.data.train.labels)[splits.train]
    return torch.from_numpy(images), torch.from_numpy(labels)


def _ranking_data(job: Job, splits: Splits) -> CalibrationData | None:
    """The calibration images, with the labels that some rankings need; None where no method looks at images."""
    if not any(method.needs_images for method in job.space.methods):
        return None
    images, labels = job.data.train.images(splits.calibration), np.asarray(job.data.train.labels)[splits.calibration]
    return CalibrationData(torch.from_numpy(images), torch.from_numpy(labels))


def floor_of(job: Job) -> Floor | None:
    """The accuracy that the certificate is about; None for a protocol without one."""
    constraint = ObjectiveTerms.of(job.objective).floor
    return None if constraint is None else Floor.of(constraint)


def certificate_outlook(job: Job) -> str:
    """What the certificate will be able to show, in a sentence (W02); empty without a floor.

    Raises:
        ConfigError: the certification split is too small for any network to be certified.
    """
    floor = floor_of(job)
    if floor is None:
        return ""
    return check_possible(floor, job.split_sizes["certification"], job.delivery.confidence, job.delivery.attempts)


@contextmanager
def _undisturbed(device: DeviceLock, reporters: Sequence[Reporter], watch: Stopwatch) -> Iterator[None]:
    """A block that is timed: no other process times on the device, and reporters that work in threads hold still."""
    with device.held(partial(watch.stage, "wait")), ExitStack() as stack:
        with watch.stage("tracking"):  # what a tracker makes the search wait is overhead, not measuring
            for reporter in reporters:
                if isinstance(reporter, BackgroundReporter):
                    stack.enter_context(reporter.quiet())
        yield


def context(job: Job, splits: Splits) -> dict[str, Any]:
    """All but the policy that an evaluation depends on: the evaluation store's key."""
    return {
        "network": network_hash(job.network),
        "data": [job.data.train.content_hash, job.data.test.content_hash],
        "normalize": str((job.data.train.normalize, job.data.test.normalize)),
        "splits": {name: splits.hashes[name] for name in ("calibration", "search")},
        "ranking": job.ranking,
        "recovery": str(job.recovery),
        "ranges": str(job.ranges),
        "timing": {name: str(_seeded(plan, job.seed, name)) for name, plan in sorted(job.timing.items())},
        "target": dict(job.target.describe()),
        "versions": versions(job.target.distributions),
    }


def network_hash(network: nn.Module) -> str:
    """SHA-256 over the network's structure and tensors."""
    digest = hashlib.sha256(str(network).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def versions(of_target: Sequence[str]) -> dict[str, str]:
    """Versions of what a result depends on: of moco's own parts (ONNX Runtime calibrates), and of the target's."""
    found = {"python": platform.python_version()}
    for name in dict.fromkeys((*DISTRIBUTIONS, *of_target)):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _seeded(plan: TimingPlan, seed: int, name: str) -> TimingPlan:
    return TimingPlan(**{**plan.__dict__, "seed": derived_seed(seed, "timing", name)})
