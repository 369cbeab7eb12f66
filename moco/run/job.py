"""A search of a network with all its parts built, and what is prepared from it before the first trial."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from moco.analysis.payoff.paying_space import probed
from moco.analysis.payoff.verdicts import PayOffReport
from moco.analysis.sensitivity.layer_sensitivity import features, read_sensitivity
from moco.certification.certificate import Floor, check_possible
from moco.certification.confidence_bounds import chance_warnings
from moco.compression.collecting import CalibrationData
from moco.compression.compressor import Compressor
from moco.compression.policy_file import Origin
from moco.compression.precision import INT8_BITS, MIXED
from moco.compression.space.base_policy import BasePolicy
from moco.compression.space.layer_groups import grouped
from moco.compression.space.network_space import SpaceOptions, idle_groups, network_space
from moco.data.description import UNKNOWN, InputDescription
from moco.data.split_data import SplitData
from moco.errors import MeasurementError
from moco.evaluation.builder import Builder, Stopwatch
from moco.evaluation.calm import WAITED_SHARE
from moco.evaluation.evaluator import EvaluationPlan, Evaluator, Images
from moco.evaluation.store import EvaluationStore
from moco.execution.device_lock import DeviceLock
from moco.export.held import not_held, with_branches_of
from moco.export.template import Template, build_template
from moco.guarded_objective import posed, terms_of
from moco.interfaces import Objective, Reporter, Target
from moco.measurement import TimingPlan
from moco.models.finite import MOST_IMAGES, check_finite
from moco.models.repeatable import check_repeatable
from moco.problem import Problem
from moco.products import measured_for
from moco.randomness import derived_seed, generator
from moco.readings import READINGS
from moco.recovery.step import PrunedGroups
from moco.run.base_weights import base_network, base_weights_hash
from moco.run.plan import DeliveryOptions, JobPlan
from moco.run.reachability import check_reachable, empty_promises
from moco.space import SearchSpace
from moco.strategy import idle_options, slow_strategies
from moco.study import Start
from moco.tracking.background import BackgroundReporter

DISTRIBUTIONS = (
    "moco", "numpy", "onnx", "onnxruntime", "onnxscript", "optuna", "scikit-learn",
    "torch", "torchvision", "tensorly",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A search with all its parts built, from an experiment or from Python."""

    plan: JobPlan
    network: nn.Module
    network_name: str
    network_hash: str
    data: SplitData
    target: Target
    device_lock: DeviceLock
    objective: Objective
    fingerprint: Mapping[str, str]  # hashes by part (settings, network, …) of all that the trials of one search share
    reporters: Sequence[Reporter] = ()
    warnings: tuple[str, ...] = ()
    description: InputDescription = UNKNOWN  # of its images and classes: what delivered files say of them
    profile_only: bool = False  # all that a target can take soon is timed; nothing is searched, warned of or certified

    @property
    def distributions(self) -> tuple[str, ...]:
        """The distributions that its target and its network need: their versions are recorded."""
        return (*self.target.distributions, *self.plan.model.distributions)

    @cached_property
    def timing(self) -> Mapping[str, TimingPlan]:
        """How each reading that the target can take is timed."""
        return self.plan.candidates.timing.plans(self.target.capabilities.metrics, self.plan.seed)

    @cached_property
    def measured(self) -> frozenset[str]:
        """The metrics that are measured for the objective."""
        return measured_for(self.objective.metrics)

    @cached_property
    def floor(self) -> Floor | None:
        """The accuracy that the certificate is about; None for a protocol without one."""
        return floor_of(self.objective)


def floor_of(objective: Objective) -> Floor | None:
    """The accuracy that the objective's certificate is about; None for a protocol without one."""
    constraint = terms_of(objective).floor
    return None if constraint is None else Floor.of(constraint)


def certificate_forecast(floor: Floor | None, delivery: DeliveryOptions, data: SplitData) -> str:
    """What the certificate can show on the certification split; a ConfigError where it cannot show the floor at all."""
    if floor is None:
        return ""
    return check_possible(floor, data.splits.sizes["certification"], delivery.confidence, delivery.attempts)


@dataclass(frozen=True)
class Prepared:
    """A job whose network is traced, exported, scored and timed: ready for its first trial."""

    job: Job
    evaluator: Evaluator
    space: SearchSpace
    problem: Problem
    starts: tuple[Start, ...] = ()
    warnings: tuple[str, ...] = ()
    certificate_forecast: str = ""  # what the certification images can show at best
    payoff: PayOffReport | None = None

    def close(self) -> None:
        """Close the reference's session and the store."""
        self.evaluator.close()


@dataclass(frozen=True)
class Traced:
    """The network's coupled channels, its exported graph and its space: all that needs only the images' shape."""

    compressor: Compressor
    template: Template
    space: SearchSpace
    payoff: PayOffReport | None  # of its layers on the target; None where the job asks for none
    pruned: PrunedGroups  # what a policy may remove channels of
    left_alone: tuple[str, ...]  # layers that do not take what is asked of them, each with the reason, and warnings


def trace(job: Job, payoff: PayOffReport | None = None, template: Template | None = None) -> Traced:
    """The job's network, put into evaluation mode, traced, and its space built from what may be done to it.

    `payoff` is what an earlier session has measured; None measures it on the target where the job asks for it.
    `template` is the network's own, where it is exported already. A CompressionError, SpaceError or ConfigError where
    nothing is left to choose.
    """
    job.network.eval()
    plan, store = job.plan.space, job.plan.candidates.store
    options = plan.options
    if plan.sensitivity is not None:
        options = replace(options, layer_features=features(read_sensitivity(plan.sensitivity)))
    example = torch.zeros(2, *job.data.train.shape)
    compressor = Compressor.of(job.network, example)
    pooled = job.target.capabilities.pooled_strides
    template = template or build_template(job.network, example, pooled_strides=pooled)
    if plan.probe is not None:
        payoff = payoff or probed(job.target, compressor.counts, compressor.graph, plan.probe.plan, store)
        options = plan.probe.applied(options, payoff)
    compressor = replace(compressor, graph=with_branches_of(template.proto, compressor.graph))
    images = partial(_calibration_images, job.data)
    methods = tuple(m.acquainted(job.network, compressor.graph, images) for m in options.methods)
    options = replace(options, methods=methods)
    found = grouped(job.network, compressor.counts, compressor.graph, plan.groups, plan.ignore)
    layers = {layer.name: layer for layer in compressor.counts.layers}
    stays, whole = not_held(template.proto, job.network, compressor.graph, tuple(layers))
    found = tuple(group.without(stays, whole) for group in found)

    def space_of(options: SpaceOptions) -> SearchSpace:
        return network_space(found, compressor.counts, compressor.costs, options, job.target.capabilities)

    if plan.base is not None:
        base = BasePolicy.read(plan.base, compressor, Origin(job.network_name, plan.ranking))
        options = base.kept_in(options, compressor.graph.groups.values(), space_of)
    space = space_of(options)
    left_out = {**compressor.graph.left_out, **stays}
    left_alone = [f"'{name}' is left out: {reason}" for name, reason in left_out.items()]
    left_alone += [text for method in methods for text in method.left_alone(found, layers)]
    left_alone += () if payoff is None else payoff.warnings
    left_alone += idle_groups(found, () if isinstance(plan.groups, str) else plan.groups, space)
    pruning = [method for method in methods if method.removes_channels]
    groups = frozenset(channels.name for group in found if pruning for channels in group.channel_groups)
    refitted = groups if any(method.refits_readers for method in pruning) else frozenset[str]()
    return Traced(compressor, template, space, payoff, PrunedGroups(groups, refitted), tuple(left_alone))


def prepare(
    job: Job,
    folder: Path,
    constants: Mapping[str, float] | None = None,
    payoff: PayOffReport | None = None,
    starts: Sequence[Start] | None = None,
    template: Template | None = None,
) -> Prepared:
    """Trace, export the template, build the reference, score and time it; a MocoError says what does not fit.

    The files of candidates go to `folder`. `constants` (the reference's timed metrics), `payoff` (of the network's
    layers) and `starts` are what an earlier session of this search has found, `template` another search of the network;
    None finds them.
    """
    plan, search = job.plan.space, job.plan.search
    first = job.data.train.images(job.data.splits.calibration[:MOST_IMAGES])  # the others are decoded once, later on
    check_finite(job.network.eval(), torch.from_numpy(first))
    check_repeatable(job.network, torch.from_numpy(first))
    traced = trace(job, payoff, template)
    space, known, warnings, forecast = traced.space, list(starts or ()), list(job.warnings), ""
    if not job.profile_only:
        warnings += slow_strategies(search.strategies, space, search.budget.trials)  # before minutes are spent
        if starts is None:
            known, more = search.starts.known(traced.compressor, space, Origin(job.network_name, plan.ranking))
            warnings += more
        forecast = certificate_forecast(job.floor, job.plan.delivery, job.data)
    evaluator = evaluator_of(job, traced, folder, constants or {})
    with ExitStack() as on_failure:
        on_failure.callback(evaluator.close)
        if evaluator.unmeasured and not job.profile_only:
            name, why = next(iter(evaluator.unmeasured.items()))
            raise MeasurementError(f"the reference's {name} could not be measured: {why}")
        problem = posed(job.objective, space, evaluator.reference.evaluation.metrics)
        of_recovery = evaluator.builder.recovery.warnings(traced.pruned)
        if not job.profile_only:
            warnings += idle_options(search.strategies, problem)
        if not job.profile_only and starts is None:
            check_reachable(problem, evaluator.spent)
        warnings += empty_promises(problem)
        warnings += chance_warnings(evaluator.reference.correct.top1, evaluator.search.labels)
        if not job.profile_only and starts is None:
            known, more = search.starts.with_measured(known, problem, evaluator)
            warnings += more
        warnings += [*traced.left_alone, *of_recovery, *evaluator.warnings]
        on_failure.pop_all()
    return Prepared(job, evaluator, space, problem, tuple(known), tuple(warnings), forecast, traced.payoff)


def evaluator_of(job: Job, traced: Traced, folder: Path, constants: Mapping[str, float]) -> Evaluator:
    """The evaluator of the job's candidates, their files in `folder`; the reference is built, scored and timed.

    A MocoError where the network cannot be ranked, exported or run.
    """
    plan, seed, methods = job.plan.candidates, job.plan.seed, job.plan.space.options.methods
    more = {n for n in job.timing if job.profile_only and not READINGS[n].of_slow_calls}
    timing = {n: p for n, p in job.timing.items() if n in job.measured | more}
    undisturbed, key = partial(_undisturbed, job.device_lock, job.reporters), store_key(job)
    images, labels = map(torch.from_numpy, job.data.images("calibration"))
    seen = CalibrationData(images, labels) if any(method.needs_images for method in methods) else None
    with ExitStack() as on_failure:
        store = EvaluationStore(plan.store, key) if plan.store is not None else None
        if store is not None:
            on_failure.callback(store.close)
        builder = Builder(
            traced.compressor.prepared_for(methods, seen, generator(seed, "ranking")),
            images.numpy(),
            plan.recovery,
            folder,
            plan.ranges,
            job.target.capabilities.placement,
            seed=derived_seed(seed, "recovery"),
            training=partial(training_images, job.data),
            template=traced.template,
            metadata=job.description.metadata,
            base=base_network(job.plan.space, traced.compressor),
            prepare=getattr(job.target, "prepare", lambda file: file),
        )
        search = Images(*job.data.images("search"))
        share = WAITED_SHARE if job.plan.search.budget.seconds is None else 0.0  # pauses would take what is limited
        evaluation = EvaluationPlan(timing, constants, share, plan.before_recovery)
        evaluator = Evaluator(builder, job.target, search, evaluation, store, undisturbed)
        on_failure.pop_all()
    return evaluator


def _calibration_images(data: SplitData, most: int) -> torch.Tensor:
    return torch.from_numpy(data.train.images(data.splits.calibration[:most]))


def training_images(data: SplitData) -> tuple[torch.Tensor, torch.Tensor]:
    """Those of the training split, (n, channels, height, width), and their labels (n,)."""
    images, labels = data.images("train")
    return torch.from_numpy(images), torch.from_numpy(labels)


@contextmanager
def _undisturbed(device: DeviceLock, reporters: Sequence[Reporter], watch: Stopwatch) -> Iterator[None]:
    """A block that is timed: no other process times on the device, and reporters that work in threads hold still."""
    with device.held(partial(watch.stage, "wait")), ExitStack() as stack:
        with watch.stage("tracking"):  # what a tracker makes the search wait is overhead, not measuring
            for reporter in reporters:
                if isinstance(reporter, BackgroundReporter):
                    stack.enter_context(reporter.quiet())
        yield


FEW_BITS = "packed, ranges of 8 bits whole"
"""How files with codes of fewer than 8 bits are made, in the evaluation store's key: once it was otherwise."""


def store_key(job: Job) -> dict[str, Any]:
    """The evaluation store's key: all but the policy that an evaluation depends on."""
    plan, data, hashes = job.plan.candidates, job.data, job.data.splits.hashes
    described = {"file": job.description.metadata} if job.description.metadata else {}
    few_bits = {"few_bits": FEW_BITS} if MIXED in job.plan.space.options.precisions else {}
    most = job.target.capabilities.placement.weight_bits
    narrow = {"weight_bits": most} if most < INT8_BITS.weights else {}
    pooled = {"pooled_strides": True} if job.target.capabilities.pooled_strides else {}
    weights = base_weights_hash(job.plan.space)
    begun = {} if weights is None else {"base weights": weights}
    before = {"before recovery": True} if plan.before_recovery else {}
    return {
        **begun,
        **before,
        **described,
        **few_bits,
        **narrow,
        **pooled,
        "network": job.network_hash,
        "data": list(data.content_hashes),
        "normalize": str((data.train.normalize, data.test.normalize)),
        "splits": {name: hashes[name] for name in ("calibration", "search")},
        "ranking": job.plan.space.ranking,
        "recovery": str(plan.recovery),
        "ranges": str(plan.ranges),
        "timing": {
            name: str(timing)
            for name, timing in sorted(job.timing.items())
            if name in job.measured or not READINGS[name].on_request
        },
        "target": dict(job.target.describe()),
        "versions": versions(job.distributions),
    }


def versions(of_job: Sequence[str]) -> dict[str, str]:
    """Versions of what a result depends on: of moco's own parts (ONNX Runtime calibrates), and of the job's."""
    found = {"python": platform.python_version()}
    for name in dict.fromkeys((*DISTRIBUTIONS, *of_job)):
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
