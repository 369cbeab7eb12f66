"""qLogNEHVI of single candidates without gradients, as BoTorch defines it, in a fraction of the time.

Ax searches discrete spaces by local search: some forty thousand candidates a suggestion, each alone. BoTorch computes
the joint posterior of the baseline and the candidate anew for each, and takes the minimum and the alternating sum over
subsets of candidates of which there is one. Here the parts that do not depend on the candidate are computed once, and
the rest is left out. So that the slow strategies of the recorded benchmarks have more than one run.

What it computes is S. Ament et al., "Unexpected improvements to expected improvement", NeurIPS 2023, over
the cells of S. Daulton et al., "Parallel Bayesian optimization of multiple noisy objectives with expected hypervolume
improvement", NeurIPS 2021. The first values of each acquisition function are compared with BoTorch's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from moco.searchers.models.torch_draws import silently_imported

with silently_imported():
    from botorch.acquisition import AcquisitionFunction
    from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
    from botorch.models import SingleTaskGP
    from botorch.optim import optimize
    from botorch.utils.low_rank import _reshape_base_samples
    from botorch.utils.objective import compute_smoothed_feasibility_indicator

ELEMENTS = 100_000
"""Numbers in a tensor of one step: they stay in the processor's cache."""
COMPARED, TOLERANCE = 4, 1e-6
"""Values of each acquisition function that are also computed by BoTorch, and the most that logarithms may differ."""
ALPHA_RELU = 0.1
"""The share of the Cauchy density in BoTorch's `fatplus`."""
LOCAL_VALUES = "_split_batch_eval_acqf"
UNBOUNDED = 1e10
"""Where BoTorch ends the cells that have no end."""


class QuickValues:
    """The values of one acquisition function at single candidates.

    Args:
        acquisition: without pending points, its model exact Gaussian processes of all outcomes at once.
        candidate: (1, 1, d): sets the acquisition function's sampler to one candidate at a time.
    """

    def __init__(self, acquisition: qLogNoisyExpectedHypervolumeImprovement, candidate: Tensor) -> None:
        self.acquisition, model = acquisition, acquisition.model
        acquisition(candidate)
        self._model, self._kernel = model, model.covar_module
        self._train = model.train_inputs[0]
        self._baseline = self._inputs(acquisition.X_baseline)
        noise = torch.diag_embed(model.likelihood.noise.expand(model.train_targets.shape))
        self._root = torch.linalg.cholesky(self._covariance(self._train, self._train) + noise)
        mean = model.mean_module(self._train)
        self._weights = torch.cholesky_solve((model.train_targets - mean).unsqueeze(-1), self._root)
        self._baseline_part = self._solved(self._covariance(self._train, self._baseline))
        joint = model.posterior(torch.cat([acquisition.X_baseline, candidate[0]])[None])
        sampler = acquisition.sampler
        self._normals = _reshape_base_samples(sampler.base_samples, sampler.sample_shape, joint)[0]
        lower, upper = acquisition.cell_lower_bounds, acquisition.cell_upper_bounds.clamp_max(UNBOUNDED)
        self._lower, self._log_lengths = (cells.permute(2, 0, 1)[..., None] for cells in (lower, (upper - lower).log()))

    def __call__(self, candidates: Tensor) -> Tensor:
        """Values (n,) at candidates (n, 1, d)."""
        return self._log_improvement(self.samples(candidates))

    @property
    def at_once(self) -> int:
        """Candidates whose tensors stay in the cache."""
        return max(1, ELEMENTS // int(self._lower.numel()))

    def samples(self, candidates: Tensor) -> Tensor:
        """The outcomes (samples, n, 1, outcomes) of the posterior given the samples at the baseline."""
        x = self._inputs(candidates[:, 0])
        to_train = self._covariance(self._train, x)
        mean = self._model.mean_module(x) + (to_train.mT @ self._weights)[..., 0]
        part = self._solved(to_train)
        to_baseline = self._covariance(self._baseline, x) - self._baseline_part.mT @ part
        row = torch.linalg.solve_triangular(self.acquisition._baseline_L, to_baseline, upper=False)
        left = self._kernel(x, diag=True) - part.square().sum(-2) - row.square().sum(-2)
        drawn = self._normals[:, :-1].mT @ row + self._normals[:, -1:].mT * left.sqrt()[:, None]
        samples: Tensor = (mean[:, None] + drawn).permute(1, 2, 0)[:, :, None]
        return samples

    def _log_improvement(self, samples: Tensor) -> Tensor:
        """Over (objectives, samples, cells, n): candidates come last, so that steps run over long rows."""
        acquisition = self.acquisition
        objectives = acquisition.objective(samples).permute(3, 0, 2, 1).contiguous()
        over = (objectives - self._lower) / acquisition.tau_relu
        tails = over.square().add_(1).reciprocal_().mul_(ALPHA_RELU)
        log_sides = torch.nn.functional.softplus(over).add_(tails).mul_(acquisition.tau_relu).log_()
        log_areas = self._smooth_minimum(log_sides, self._log_lengths).sum(0).logsumexp(1)
        if acquisition.constraints is not None:
            log_areas += compute_smoothed_feasibility_indicator(
                acquisition.constraints, samples, acquisition.eta, log=True, fat=acquisition.fat
            )[..., 0]
        return log_areas.logsumexp(0) - math.log(len(samples))

    def _smooth_minimum(self, a: Tensor, b: Tensor) -> Tensor:
        """BoTorch's `fatminimum`."""
        tau = self.acquisition.tau_max
        apart = (a - b).abs_().div_(tau).add_(1)
        pareto = apart.square_().add_(1).reciprocal_().mul_(2)
        smooth: Tensor = torch.minimum(a, b).sub_(pareto.log1p_().mul_(tau))
        return smooth

    def _inputs(self, x: Tensor) -> Tensor:
        """Candidates (n, d) as every outcome's kernel takes them: (outcomes, n, d)."""
        inputs: Tensor = self._model.transform_inputs(x).expand(len(self._train), -1, -1)
        return inputs

    def _covariance(self, a: Tensor, b: Tensor) -> Tensor:
        covariance: Tensor = self._kernel(a, b).to_dense()
        return covariance

    def _solved(self, right: Tensor) -> Tensor:
        solved: Tensor = torch.linalg.solve_triangular(self._root, right, upper=False)
        return solved


def applies(acquisition: AcquisitionFunction, candidates: Tensor) -> bool:
    """Are these single candidates of an acquisition function that `QuickValues` knows?"""
    return (
        isinstance(acquisition, qLogNoisyExpectedHypervolumeImprovement)
        and isinstance(acquisition.model, SingleTaskGP)
        and acquisition.model.num_outputs > 1
        and getattr(acquisition.model, "outcome_transform", None) is None
        and hasattr(acquisition, "_baseline_L")
        and acquisition.X_pending is None
        and acquisition.fat
        and acquisition.incremental_nehvi
        and candidates.shape[-2] == 1
    )


@contextmanager
def quick_nehvi() -> Iterator[None]:
    """Within, BoTorch's local search takes its values from here, where they apply."""
    with mock.patch.object(optimize, LOCAL_VALUES, LocalValues(getattr(optimize, LOCAL_VALUES))):
        yield


class LocalValues:
    """In place of the function by which BoTorch's local search computes values, its `original`."""

    def __init__(self, original: Callable[..., Tensor]) -> None:
        self._original = original
        self._last: QuickValues | None = None

    def __call__(self, acq_function: AcquisitionFunction, **asked: Any) -> Tensor:
        """The values (n,) at the candidates `X` (n, 1, d)."""
        candidates = asked["X"]
        if not applies(acq_function, candidates):
            return self._original(acq_function, **asked)
        if self._last is None or self._last.acquisition is not acq_function:
            self._last = agreeing(acq_function, candidates[:COMPARED])
        values = torch.cat([self._last(part) for part in candidates.split(self._last.at_once)])
        if not values.isfinite().all():  # at points of the baseline rounding leaves no variance, and BoTorch adds some
            return self._original(acq_function, **asked)
        return values


def agreeing(acquisition: qLogNoisyExpectedHypervolumeImprovement, candidates: Tensor) -> QuickValues:
    """The acquisition function's quick values, compared with its own at the candidates (n, 1, d).

    Raises:
        DisagreementError: they differ.
    """
    quick = QuickValues(acquisition, candidates[:1])
    theirs, ours = acquisition(candidates), quick(candidates)
    if not torch.allclose(ours, theirs, rtol=0, atol=TOLERANCE):
        raise DisagreementError(f"quick values {ours.tolist()} where BoTorch has {theirs.tolist()}")
    return quick


class DisagreementError(RuntimeError):
    """The quick values are not BoTorch's."""
