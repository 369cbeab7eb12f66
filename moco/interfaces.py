"""The contracts of the plug-ins: searchers, objectives, targets and reporters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from optuna.distributions import CategoricalDistribution

from moco.constraints import Constraint
from moco.errors import ConfigError
from moco.measurement import Measurement, TimingPlan
from moco.problem import Problem
from moco.registry import FITS_ANY_PROBLEM
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue, Suggestion, Trial


@dataclass(frozen=True)
class SearcherCapabilities:
    """What a searcher can take.

    Attributes:
        categorical, constraints, multi_objective: whether it handles them.
        needs_layers: whether the space must have layer groups.
        max_trials: beyond which a suggestion becomes too slow; None without a limit.
        order: a suggestion's time grows like n ** order at most, in n told trials (benchmarks/growth.py).
    """

    categorical: bool = True
    constraints: bool = True
    multi_objective: bool = True
    needs_layers: bool = False
    max_trials: int | None = None
    order: int = 1

    def why_not(self, problem: Problem) -> str | None:
        """What the problem has that the searcher cannot take; None where it can take all."""
        if (reason := self.why_not_in(problem.space)) is not None:
            return reason
        if len(problem.objectives) > 1 and not self.multi_objective:
            return f"it takes one objective, the problem has {len(problem.objectives)}"
        if problem.bounds and not self.constraints:
            return "it takes no constraints"
        return None

    def why_not_in(self, space: SearchSpace) -> str | None:
        """What the space has, or lacks, that the searcher cannot take; None where it can take all."""
        choices = [name for name, found in space.distributions.items() if isinstance(found, CategoricalDistribution)]
        if choices and not self.categorical:
            return f"it takes no categorical parameters, the space has '{choices[0]}'"
        if self.needs_layers and not space.groups:
            return "it walks over layer groups, which a plain space does not have"
        return None


@runtime_checkable
class Searcher(Protocol):
    """A pure function of (problem, options, seed, trials told so far), built as `cls(problem, options, seed)`.

    The generator of its n-th ask is spawned from (seed, n). What it must remember of an ask travels in the
    suggestion's notes into the trial. So a restart is: build it, tell it the ledger, go on.
    It sees the space, losses, violations and the score; never a network, a device, a file or a logger.

    It may have `warnings(problem) -> list[str]`: what a user should hear before it begins, such as an option that has
    no effect on this problem; each begins with the option's name.
    """

    capabilities: SearcherCapabilities

    def ask(self) -> Suggestion:
        """The next suggestion; earlier ones may still be pending. Changes nothing but the count of asks."""

    def tell(self, trial: Trial) -> None:
        """Take a finished trial: complete, rejected or failed, in any order, also ones it never asked for."""


def refuse_misfit(searcher: Searcher | type[Searcher], name: str, problem: Problem) -> None:
    """Pass a searcher, or its class, that can take the problem; a ConfigError names what it cannot take."""
    capabilities = searcher.capabilities
    if not isinstance(capabilities, SearcherCapabilities):  # a class whose options decide: its instance will tell
        return
    reason = capabilities.why_not(problem)
    if reason is not None:
        raise ConfigError(misfit(name, reason))


def misfit(name: str, reason: str, where: str = "searcher") -> str:
    """The one line about a searcher that cannot take a problem, with one that can take any."""
    return f"{where}: '{name}' does not fit this problem: {reason}; choose another one, such as {FITS_ANY_PROBLEM}"


class Objective(Protocol):
    """A protocol: what is minimised, what is bounded, and its published scalar. Pure: no device, no data, no state.

    It may have any of the members of `ObjectiveTerms` too.
    """

    metrics: tuple[str, ...]
    """Names of the metrics that an evaluation must hold."""

    def problem(self, space: SearchSpace, reference: Mapping[str, MetricValue]) -> Problem:
        """The problem of this protocol for a space and the metrics of the uncompressed network."""

    def score(self, evaluation: Evaluation, reference: Mapping[str, MetricValue]) -> float:
        """The protocol's published scalar; larger is better."""


@dataclass(frozen=True)
class ObjectiveTerms:
    """What an objective may say of itself by members of these names; where it has none of a name, the default holds.

    `moco.guarded_objective.terms_of` reads them.
    """

    constraints: Sequence[Constraint] = ()  # the bounds as its user wrote them
    objectives: Mapping[str, str] = field(default_factory=dict)  # direction by metric, where its user chose them
    weights: Mapping[str, float] = field(default_factory=dict)  # weight by metric
    floor: Constraint | None = None  # the bound on top-1 error that the certificate is about
    wish: str | None = None  # what is asked besides the bounds, as a person says it
    drop_unmeasurable: bool = False  # whether weights of metrics that a machine cannot measure may be left out there
    without: Callable[[frozenset[str]], Objective] | None = None
    """The objective without the weights of some metrics; None where it cannot do without."""


@dataclass(frozen=True)
class Finding:
    """One thing that `moco doctor` looked for.

    Attributes:
        ok: whether it is there and good enough.
        detail: what was found, in words and numbers.
        advice: what to do where it is not ok; else empty.
    """

    name: str
    ok: bool
    detail: str
    advice: str = ""


@dataclass(frozen=True)
class QuantizePlacement:
    """Where a target wants the quantize nodes of a file: around which operators it computes on integers.

    The values are those of moco's files so far, which ONNX Runtime and OpenVINO run in integers throughout.

    Attributes:
        computed: operators between layers that are computed on codes where all their inputs are codes.
        moved: operators that pass codes on as they are.
        fused: activations that are computed with the layer before them, so that no codes stand between the two.
        zero_points: layers whose weights need zero points, though these are 0.
        packed: whether codes of fewer than 8 bits may lie side by side in the file, after operators that unpack them
            (moco/export/packing.py); a target that folds constants before it looks for integer kernels loses nothing.
        weight_bits: the most that codes of weights have, also in int8: 7 where the target adds products in 16 bits,
            which two of 8 bits may overflow.
    """

    computed: frozenset[str] = frozenset({"Add", "Mul", "GlobalAveragePool", "AveragePool", "Concat"})
    moved: frozenset[str] = frozenset(
        {"Slice", "Pad", "Gather", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "MaxPool", "Identity"}
    )
    fused: frozenset[str] = frozenset({"Relu", "Clip"})
    zero_points: frozenset[str] = frozenset({"Gemm"})
    packed: bool = False
    weight_bits: int = 8


@dataclass(frozen=True)
class Capabilities:
    """What a target can run and measure.

    Attributes:
        precisions: legal precisions, the first is the reference's.
        channel_multiples: by precision, the number of channels that a width should be a multiple of.
        layer_kinds: by precision, the kinds of layers (`conv`, `depthwise`, `linear`) that it may be set on.
        metrics: names of the metrics that this target can measure on this machine (`moco.readings.measured_by`).
        placement: where the quantize nodes of its files go.
        pooled_strides: whether its files have pixels that are left out, as in option-A shortcuts, as a max-pool over
            one pixel with strides, not as Slices with steps: the same values, in a form that converters for small
            devices take. ONNX Runtime and OpenVINO take both (moco/export/strides.py).
    """

    precisions: tuple[str, ...]
    channel_multiples: Mapping[str, int]
    layer_kinds: Mapping[str, frozenset[str]]
    metrics: frozenset[str]
    placement: QuantizePlacement = QuantizePlacement()
    pooled_strides: bool = False


@dataclass(frozen=True)
class Artifact:
    """A deployable file.

    Attributes:
        sha256: hash of its bytes: what is scored is what is timed is what is shipped (W08).
    """

    path: Path
    sha256: str
    size_bytes: int


class Session(Protocol):
    """An artefact that is loaded on a target."""

    artifact: Artifact
    input_shape: tuple[int, ...]
    """Shape of one image, (channels, height, width)."""

    def run(self, images: np.ndarray) -> np.ndarray:
        """Logits (n, classes) of normalised float32 images (n, channels, height, width).

        Raises:
            MeasurementError: the runtime fails on the file.
            DeviceLostError: the device does not answer.
        """

    def close(self) -> None:
        """Let go of what the runtime holds for the file; it is not run again. May be called twice."""


@dataclass(frozen=True)
class LayerTime:
    """What one operator of a file takes, as the runtime itself tells.

    Attributes:
        name: the runtime's own: several operators of the file may have become one of these.
        kind: of operator, and of kernel where the runtime tells.
        time_ms: median of a call.
    """

    name: str
    kind: str
    time_ms: float


Normalize = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation by channel."""


class Target(Protocol):
    """A device with a runtime, built as `cls(options)`; that is cheap and needs no device (docs/adding_a_target.md).

    It may have `layer_times(artifact, batch, calls) -> Sequence[LayerTime] | None`: the operators of the file in the
    order in which they run, each with its median time over so many calls of so many images (S2.13), or None where the
    runtime tells of none; it raises as `measure`.

    It may have `prepare(artifact) -> Artifact`: its own file of an ONNX file, which is then scored, timed and shipped.
    """

    name: str
    capabilities: Capabilities
    distributions: tuple[str, ...]
    """Packages whose versions its results depend on: part of the evaluation store's key, and what a user installs."""

    def connect(self) -> None:
        """Reach the device, before anything is loaded; again where it is connected already changes nothing.

        Raises:
            ConfigError: it is not there or cannot measure what its options ask for.
        """

    def load(self, artifact: Artifact) -> Session:
        """Open the file on the runtime; who opens a session closes it.

        Raises:
            MeasurementError: the runtime cannot run the file: its policy is rejected.
            DeviceLostError: the device does not answer. Any OSError that comes out of a target is taken for it.
        """

    def measure(self, sessions: Sequence[Session], plan: TimingPlan) -> Measurement:
        """Time the sessions interleaved; the first is the reference. Raw samples are kept.

        Raises:
            MeasurementError: a session fails, or the times are not valid.
            DeviceLostError: the device does not answer.
        """

    def describe(self) -> Mapping[str, Any]:
        """Runtime, versions, processor, threads: what a timed number depends on. JSON."""

    def snippet(self, file: str, input_shape: Sequence[int] | None, normalize: Normalize | None) -> str:
        """Python that labels a batch of images with the delivered file under this runtime, for card and report.

        Args:
            file: its path, relative to where the program runs.
            input_shape: of one image, (channels, height, width); None where it is not known.
            normalize: what images in 0..1 are normalised by; None where they come normalised.
        """

    def findings(self) -> tuple[Finding, ...]:
        """What `moco doctor` says of it, connecting if it must; what is absent is a finding, not an error."""


class Counter(Protocol):
    """A meter of the energy that this machine, or a part of it, has used; built as `cls(options)` (S1.11).

    It may have a `part`, in a word what it meters: two counters of one part are not summed.
    """

    name: str
    tick_s: float
    """Seconds between two changes of its reading, at least."""

    def available(self) -> str:
        """Empty where it can be read here; else why not, in words."""

    def joules(self) -> float:
        """Energy since some fixed moment, never less than before; a meter of power sums it up itself.

        Raises:
            MeasurementError: it can no longer be read.
        """

    def describe(self) -> Mapping[str, Any]:
        """What is metered and how finely, the same from run to run: part of the store's key. JSON."""


class Reporter(Protocol):
    """Shows a search somewhere. May be slow, absent or down: it never hurts the search."""

    def start(self, manifest: Mapping[str, Any], folder: Path) -> None:
        """A search begins; `manifest` is the content of RUN/manifest.json."""

    def report(self, trial: Trial) -> None:
        """A trial has finished."""

    def finish(self, result: Mapping[str, Any], folder: Path) -> None:
        """The search is over; `result` is the content of RUN/result.json and the folder is complete."""

    def abandon(self) -> None:
        """The search was broken off: there will be no result, unless it is resumed."""


class Ledger(Protocol):
    """The durable record of a search."""

    def record(self, trial: Trial) -> None:
        """Write a finished trial; it is safe on disk when this returns."""

    def trials(self) -> list[Trial]:
        """All recorded trials by number."""
