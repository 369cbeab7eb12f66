"""BoTorch's part of a Bayesian search: models of all outcomes, the noisy expected improvement, and its best candidate.

| symbol | what | shape |
|---|---|---|
| x | coordinates of the told trials (moco.searchers.models.axes) | (n, d) |
| y | outcomes: minus the m losses, then the c violations | (n, m + c) |
| sems | standard errors of the outcomes, NaN where unknown | (n, m + c) |

BoTorch maximises: losses change their sign here, and here only. A constraint is met where its outcome is <= 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from moco.searchers.models.axes import MANY, Axis
from moco.searchers.models.torch_draws import silently_imported, without_compiler

with silently_imported():
    from botorch.acquisition import qLogNoisyExpectedImprovement
    from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
    from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
    from botorch.acquisition.multi_objective.utils import get_default_partitioning_alpha
    from botorch.acquisition.objective import LinearMCObjective
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import MixedSingleTaskGP, ModelListGP, SingleTaskGP
    from botorch.models.transforms import Standardize
    from botorch.optim import optimize_acqf
    from botorch.optim.optimize_mixed import optimize_acqf_mixed_alternating
    from botorch.sampling import SobolQMCNormalSampler
    from botorch.utils.multi_objective.hypervolume import infer_reference_point
    from botorch.utils.multi_objective.pareto import is_non_dominated
    from gpytorch.mlls import ExactMarginalLogLikelihood

without_compiler()

FIT_STEPS = 75  # steps of L-BFGS-B on the hyperparameters: 200 took three times as long and predicted no better
LEAST_NOISE = 1e-6
"""Share of an outcome's variance that its noise has at least: an exact one's covariance must still be factorised."""


@dataclass(frozen=True)
class Outcomes:
    """What was told of n trials; see the table above."""

    x: Tensor
    y: Tensor
    sems: Tensor
    n_losses: int

    @staticmethod
    def of(
        x: np.ndarray, losses: np.ndarray, loss_sems: np.ndarray, violations: np.ndarray, violation_sems: np.ndarray
    ) -> Outcomes:
        """From coordinates (n, d), losses (n, m), violations (n, c), and the standard errors of both."""
        y, sems = np.hstack([-losses, violations]), np.hstack([loss_sems, violation_sems])
        known, seen, errors = (torch.tensor(array, dtype=torch.double) for array in (x, y, sems))
        return Outcomes(known, seen, errors, losses.shape[1])

    @property
    def within_reach(self) -> Tensor:
        """Minus the losses (k, m) of the feasible trials, and of those that no other dominates, feasible or not.

        Feasible trials alone may all lie in one corner, and would leave nothing to gain anywhere else. While there is
        none, all trials count: the feasible ones to come may be worse than all that are not dominated.
        """
        values, feasible = self.y[:, : self.n_losses], (self.y[:, self.n_losses :] <= 0).all(dim=-1)
        reached: Tensor = values[feasible | is_non_dominated(values)] if feasible.any() else values
        return reached


def fit(told: Outcomes, axes: Sequence[Axis]) -> ModelListGP:
    """One Gaussian process an outcome; its noise is given where every standard error is known, inferred otherwise."""
    choices = [i for i, axis in enumerate(axes) if axis.is_choice]
    build = partial(MixedSingleTaskGP, cat_dims=choices) if choices else SingleTaskGP
    models = []
    for j in range(told.y.shape[1]):
        y, sem = told.y[:, [j]], told.sems[:, [j]]
        noise = None if sem.isnan().any() else sem.square().clamp_min(LEAST_NOISE * y.var(correction=0))
        model = build(train_X=told.x, train_Y=y, train_Yvar=noise, outcome_transform=Standardize(m=1))
        likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
        fit_gpytorch_mll(likelihood, optimizer_kwargs={"options": {"maxiter": FIT_STEPS}})
        models.append(model)
    return ModelListGP(*models)


def expected_improvement(
    model: ModelListGP, told: Outcomes, worst: Tensor | None, samples: int, seed: int
) -> Callable[[Tensor], Tensor]:
    """The logarithm of the expected feasible improvement of the one loss, or of the hypervolume of several.

    The hypervolume's reference point (m,) is `worst`, in y's direction; None takes a tenth of the range beyond the
    worst values within reach (`Outcomes.within_reach`). Not those of the front alone: a front of one point would leave
    nothing to gain. The draws from the posterior, `samples` of them, are a Sobol sequence scrambled by `seed`.
    """
    sampler = SobolQMCNormalSampler(torch.Size([samples]), seed=seed)
    constraints = [partial(_outcome, j) for j in range(told.n_losses, told.y.shape[1])] or None
    improvement: Callable[[Tensor], Tensor]
    if told.n_losses == 1:
        first = LinearMCObjective(torch.eye(told.y.shape[1], dtype=torch.double)[0])
        improvement = qLogNoisyExpectedImprovement(model, told.x, sampler, objective=first, constraints=constraints)
    else:
        improvement = qLogNoisyExpectedHypervolumeImprovement(
            model,
            infer_reference_point(told.within_reach, max_ref_point=worst),
            told.x,
            sampler=sampler,
            objective=IdentityMCMultiOutputObjective(list(range(told.n_losses)), num_outcomes=told.y.shape[1]),
            constraints=constraints,
            prune_baseline=True,
            alpha=get_default_partitioning_alpha(told.n_losses),
        )
    return improvement


def best_candidate(
    improvement: Callable[[Tensor], Tensor], axes: Sequence[Axis], raw: int, restarts: int, steps: int
) -> Tensor:
    """Coordinates (d,) of a maximum: gradients along continuous axes, in turn with single steps along all others."""
    bounds = torch.tensor([axis.bounds for axis in axes], dtype=torch.double).T
    ordered = {i: axis.values for i, axis in enumerate(axes) if axis.values and not axis.is_choice}
    choices = {i: axis.values for i, axis in enumerate(axes) if axis.is_choice}
    batches = {"batch_limit": restarts, "init_batch_limit": raw}
    if not ordered and not choices:
        found, _ = optimize_acqf(
            improvement, bounds, q=1, num_restarts=restarts, raw_samples=raw, options={"maxiter": steps, **batches}
        )
    else:
        found, _ = optimize_acqf_mixed_alternating(
            improvement,
            bounds,
            discrete_dims=ordered,
            cat_dims=choices,
            options={"max_discrete_values": MANY, "maxiter_init": steps, **batches},
            raw_samples=raw,
            num_restarts=restarts,
        )
    best: Tensor = found[0]
    return best


def _outcome(j: int, outcomes: Tensor) -> Tensor:
    """Outcome j of (…, m + c)."""
    return outcomes[..., j]
