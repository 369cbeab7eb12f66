"""A policy becomes a file, by checked steps in a fixed order (docs/compression.md): same policy, same bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np
import onnx
import torch
from onnx import helper
from torch import nn

from moco.compression.compressor import Compressor
from moco.compression.policy_settings import bits_by_part, branches_gone_of, gone_of
from moco.compression.precision import INT8_BITS, Bits
from moco.compression.space.codec import cost_of
from moco.compression.verify import verify_file, verify_network, verify_parameters
from moco.errors import CompressionError
from moco.evaluation.base_network import BaseNetwork, Beginning
from moco.export.calibration import calibrate, open_session, outputs
from moco.export.packing import pack, unpacked
from moco.export.quantize import WIDEST, observed_tensors, quantize
from moco.export.ranges import RangeOptions, estimate
from moco.export.rewrites import compact, written
from moco.export.template import Template, build_template
from moco.interfaces import Artifact, QuantizePlacement
from moco.policy import Policy
from moco.recovery.recovery import Recovery, RecoveryPlan, TrainingImages
from moco.recovery.step import Candidate, Moment

PARITY_IMAGES, PARITY_TOLERANCE = 1, 1e-3
WHOLE, BY_OUTPUT_ERROR = RangeOptions(), RangeOptions("output_error", "output_error", below=8)


class WeightFiles(Protocol):
    """Where weights are kept that a training has given networks, by the hash of their file."""

    def load(self, weights: str, network: nn.Module) -> None:
        """Load the weights into a network of their structure, in place."""

    def in_codes(self, weights: str) -> bool:
        """Whether they were trained in integer codes, and so to live with whole ranges."""


class Stopwatch:
    """Seconds by stage."""

    def __init__(self, seconds: Mapping[str, float] | None = None) -> None:
        """Begin with the seconds of earlier stages."""
        self.seconds: dict[str, float] = dict(seconds or {})

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to the stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


class Builder:
    """Builds the file of a policy: surgery, recovery, export. The same policy always gives the same bytes."""

    def __init__(  # noqa: PLR0913, a search gives all of them
        self,
        compressor: Compressor,
        calibration: np.ndarray,
        recovery: RecoveryPlan,
        folder: Path,
        ranges: RangeOptions | None = None,
        placement: QuantizePlacement = WIDEST,
        *,
        seed: int = 0,
        training: TrainingImages | None = None,
        template: Template | None = None,
        metadata: Mapping[str, str] = MappingProxyType({}),
        trained: WeightFiles | None = None,
        base: BaseNetwork | None = None,
        prepare: Callable[[Artifact], Artifact] = lambda file: file,
    ) -> None:
        """Export the template, if it is not given, and prepare the recovery, which `seed` and `training` are of, once.

        `calibration` are unlabelled images (n, channels, height, width), for the `ranges` of integers. These are
        estimated as the options say; None takes whole ranges for codes of 8 bits, and by output error those of fewer:
        8 bits can afford rare values, and fewer cannot. Where a recovery has learned to live with whole ranges, they
        are kept. `placement` is where the target wants quantize nodes, `metadata` what every file says of
        itself, `trained` where policies with trained weights get them, `base` the network that others are built on,
        where they begin with the weights of an earlier search. A CompressionError where the network
        cannot be exported, or the images are not finite.
        """
        if not len(calibration) or not np.all(np.isfinite(calibration)):
            raise CompressionError(
                f"calibration: expected finite images, got {len(calibration)} with "
                f"{int(np.sum(~np.isfinite(calibration)))} values that are not; see data.splits.calibration"
            )
        self.compressor, self.calibration, self.folder = compressor, calibration, folder
        self.images, self.ranges, self.placement = torch.from_numpy(calibration), ranges, placement
        self.recovery = Recovery(compressor.network, compressor.graph, self.images, recovery, seed, training)
        self.template: Template = template or build_template(compressor.network, self.images[:2])
        self.metadata, self.trained, self.base = dict(metadata), trained, base
        self.prepare = prepare  # what the target makes of an ONNX file
        self._tensors: dict[tuple[frozenset[tuple[str, Bits]], tuple[str, ...]], tuple[str, ...]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def build(self, policy: Policy, watch: Stopwatch | None = None) -> tuple[Artifact, nn.Module]:
        """The file of the policy, and the compressed network that it was exported from.

        A CompressionError or SpaceError names the layer or the tensor by which the policy cannot be built.
        """
        watch = watch or Stopwatch()
        file, thin = self.onnx_file(policy, watch)
        with watch.stage("export"):
            return self.prepare(file), thin

    def onnx_file(self, policy: Policy, watch: Stopwatch | None = None) -> tuple[Artifact, nn.Module]:
        """The same before the target makes a file of its own of it; errors as in `build`."""
        watch = watch or Stopwatch()
        thin = self.compressed(policy, watch)
        proto = self._exported(policy, thin, watch)
        with watch.stage("export"):
            if self.placement.packed:
                pack(proto, {part: bits.weights for part, bits in bits_by_part(policy).items()})
            verify_file(unpacked(proto), policy, self.compressor.graph.filters(gone_of(policy)))
            compact(proto)
            helper.set_model_props(proto, self.metadata)
            return written(proto, self.folder), thin

    def without_recovery(self) -> Builder:
        """A builder of the same files but for what a recovery would have changed in their weights."""
        return self.recovering(RecoveryPlan())

    def recovering(self, plan: RecoveryPlan, seed: int = 0, training: TrainingImages | None = None) -> Builder:
        """A builder of the same files but for their weights, which are recovered by another plan."""
        other, compressor = copy(self), self.compressor
        other.recovery = Recovery(compressor.network, compressor.graph, self.images, plan, seed, training)
        return other

    def recovers(self, policy: Policy) -> bool:
        """Whether a step that was asked for changes the policy's network; trained weights are recovered already."""
        return policy.weights is None and any(step.changes(policy) for step in self.recovery.plan.asked)

    def compressed(self, policy: Policy, watch: Stopwatch | None = None) -> nn.Module:
        """The compressed and recovered network of the policy, before integers; errors as in `build`.

        Trained weights are loaded, and nothing is recovered again.
        """
        watch, compressor = watch or Stopwatch(), self.compressor
        if policy.weights is not None:
            return self._trained(policy, policy.weights, watch)
        with watch.stage("compress"):
            kept = compressor.kept(policy)
            begun = self._begun(policy, kept)
            compressor.remove_branches_(begun.network, begun.rest)
            candidate = Candidate(begun.network, policy, kept, compressor.kept_of_batch_norms(kept))
        if begun.pruned:
            candidate = self._recovered(Moment.AFTER_PRUNING, candidate, watch)
        with watch.stage("compress"):
            compressor.apply_(candidate.network, begun.rest)
            verify_parameters(candidate.network, cost_of(compressor.costs, policy)["parameters"])
        candidate = self._recovered(Moment.AFTER_SURGERY, candidate, watch)
        return self._recovered(Moment.TRAINING, candidate, watch).network

    def _begun(self, policy: Policy, kept: dict[str, np.ndarray]) -> Beginning:
        """The pruned network of a policy: the original's, or the base's with its trained weights."""
        begun = None if self.base is None else self.base.beginning(self.compressor, policy, kept)
        if begun is None:
            begun = Beginning(self.compressor.graph.thin(self.compressor.network, kept), policy, pruned=True)
        if begun.pruned:
            verify_network(begun.network, self.compressor.graph, kept)
        return begun

    def _trained(self, policy: Policy, weights: str, watch: Stopwatch) -> nn.Module:
        if self.trained is None:
            raise CompressionError(f"the trained weights {weights[:12]} are not at hand")
        with watch.stage("compress"):
            network = self.compressor.compress(policy)
            self.trained.load(weights, network)
            verify_parameters(network, cost_of(self.compressor.costs, policy)["parameters"])
            return network.eval()

    def _recovered(self, moment: Moment, candidate: Candidate, watch: Stopwatch) -> Candidate:
        if not self.recovery.changes(moment, candidate.policy):
            return candidate
        with watch.stage("recover"):
            return self.recovery.recovered(moment, candidate)

    def _exported(self, policy: Policy, thin: nn.Module, watch: Stopwatch) -> onnx.ModelProto:
        """The graph, in int8 where asked, after its float form gave what the network gives."""
        bits, whole = bits_by_part(policy), self._keeps_whole_ranges(policy)
        try:
            with watch.stage("export"):
                proto = self._template(policy, thin).render(thin)
            return self._quantized(proto, thin, bits, watch, whole=whole)
        except CompressionError:
            # A graph that bakes its widths in cannot take other weights: this candidate gets an export of its own.
            with watch.stage("export"):
                proto = self._template(policy, thin, own=True).render(thin)
            return self._quantized(proto, thin, bits, watch, whole=whole)

    def _keeps_whole_ranges(self, policy: Policy) -> bool:
        if policy.weights is None or self.trained is None:
            return self.recovery.plan.keeps_whole_ranges
        return self.trained.in_codes(policy.weights)

    def _template(self, policy: Policy, thin: nn.Module, *, own: bool = False) -> Template:
        """The graph that takes the weights of `thin`: the template without the branches that the policy removes.

        Where other modules are gone no weights of the template stand for the graph, and it is exported anew, as one of
        its `own` is: with all branches, which are then taken out, as nothing of them may stay in a file.
        """
        branches = branches_gone_of(policy)
        if not own and set(gone_of(policy)) == {module for removed in branches.values() for module in removed}:
            return self.template.without(branches)
        whole = self.compressor.structure(policy, branches=True) if branches else thin
        anew = build_template(whole, self.images[:2], pooled_strides=self.template.pooled_strides)
        return anew.without(branches)

    def _quantized(
        self, proto: onnx.ModelProto, thin: nn.Module, bits: Mapping[str, Bits], watch: Stopwatch, *, whole: bool
    ) -> onnx.ModelProto:
        """The graph in these bits; where `whole`, the network has learned to live with whole ranges."""
        if not bits:
            with watch.stage("export"):
                logits = outputs(open_session(proto), self.calibration[:PARITY_IMAGES])[0]
                self._check_parity(logits, thin)
            return proto
        options = self.ranges or (WHOLE if whole or set(bits.values()) == {INT8_BITS} else BY_OUTPUT_ERROR)
        with watch.stage("export"):
            tensors = self._observed(proto, bits)
        with watch.stage("calibrate"):
            if options == WHOLE:
                calibration = calibrate(proto, tensors, self.calibration)
            else:
                calibration = estimate(proto, bits, self.calibration, options, self.placement)
        with watch.stage("export"):
            self._check_parity(calibration.logits, thin)
            return quantize(proto, bits, calibration.ranges, calibration.weight_shares, self.placement)

    def _observed(self, proto: onnx.ModelProto, bits: Mapping[str, Bits]) -> tuple[str, ...]:
        """The tensors whose ranges are asked for; they depend on the graph, not on its widths."""
        key = (frozenset(bits.items()), tuple(node.output[0] for node in proto.graph.node))
        if key not in self._tensors:
            self._tensors[key] = observed_tensors(proto, bits, self.placement)
        return self._tensors[key]

    def _check_parity(self, logits: np.ndarray, thin: nn.Module) -> None:
        with torch.no_grad():
            expected = thin(self.images[:PARITY_IMAGES]).numpy()
        difference = float(np.abs(logits[:PARITY_IMAGES] - expected).max())
        if not difference <= PARITY_TOLERANCE * float(np.abs(expected).max()):
            raise CompressionError(f"export: the file's logits differ from the network's by {difference:.2g}")
