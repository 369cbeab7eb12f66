"""qLogNEHVI of single candidates: the quick values against BoTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks import quick_nehvi as tried
from benchmarks.quick_nehvi import DisagreementError, LocalValues, QuickValues, agreeing, applies, quick_nehvi
from moco.searchers.models.torch_draws import silently_imported

with silently_imported():
    from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
    from botorch.acquisition.multi_objective.objective import WeightedMCMultiOutputObjective
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Normalize
    from botorch.optim import optimize

DIMENSIONS, LEVELS = 6, 5
CHOICES = [torch.arange(LEVELS, dtype=torch.double) for _ in range(DIMENSIONS)]


def above_half(samples: Tensor) -> Tensor:
    return samples[..., 2] - 0.5


@pytest.fixture(params=[None, [above_half]], ids=["unconstrained", "constrained"])
def acquisition(request: pytest.FixtureRequest) -> qLogNoisyExpectedHypervolumeImprovement:
    """Two objectives and a third outcome over a lattice of six steps, 30 of its points told."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randint(LEVELS, (30, DIMENSIONS), generator=generator).double()
    y = torch.stack([x.sum(1).sin(), -x[:, :3].square().sum(1) / 20, x[:, 0] / 4], 1)
    model = SingleTaskGP(x, (y - y.mean(0)) / y.std(0), outcome_transform=None, input_transform=Normalize(DIMENSIONS))
    model.covar_module.lengthscale = torch.linspace(0.5, 2, DIMENSIONS).expand(3, 1, -1)
    objective = WeightedMCMultiOutputObjective(torch.tensor([1.0, -1.0], dtype=torch.double), outcomes=[0, 1])
    reference = torch.tensor([-1.5, -1.5], dtype=torch.double)
    torch.manual_seed(3)
    return qLogNoisyExpectedHypervolumeImprovement(
        model, reference, x, objective=objective, constraints=request.param, prune_baseline=True, tau_max=1e-2
    )


@pytest.fixture
def candidates() -> Tensor:
    return torch.randint(LEVELS, (200, 1, DIMENSIONS), generator=torch.Generator().manual_seed(4)) + 0.25


def test_the_values_are_botorchs(acquisition: qLogNoisyExpectedHypervolumeImprovement, candidates: Tensor) -> None:
    assert applies(acquisition, candidates)
    torch.testing.assert_close(
        QuickValues(acquisition, candidates[:1])(candidates), acquisition(candidates), rtol=0, atol=1e-6
    )


def test_the_samples_are_botorchs(acquisition: qLogNoisyExpectedHypervolumeImprovement, candidates: Tensor) -> None:
    quick = QuickValues(acquisition, candidates[:1])
    theirs, _ = acquisition._compute_posterior_samples_and_concat_pending(candidates)
    torch.testing.assert_close(quick.samples(candidates), theirs, rtol=1e-6, atol=1e-6)


def test_a_local_search_ends_at_the_same_candidate(acquisition: qLogNoisyExpectedHypervolumeImprovement) -> None:
    def found() -> tuple[Tensor, Tensor]:
        torch.manual_seed(0)
        return optimize.optimize_acqf_discrete_local_search(acquisition, CHOICES, q=1, num_restarts=4, raw_samples=64)

    theirs = found()
    with quick_nehvi():
        ours = found()
    assert torch.equal(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1], rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:A not p.d.")
def test_where_rounding_leaves_no_variance_botorchs_own_values_are_taken(
    acquisition: qLogNoisyExpectedHypervolumeImprovement, candidates: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BoTorch adds to the variance at points of the baseline; NaN would end no local search.

    Whether rounding leaves none depends on the processor: here it always does.
    """
    quick = QuickValues.__call__

    def without_variance(values: QuickValues, x: Tensor) -> Tensor:
        return quick(values, x).masked_fill((x == acquisition.X_baseline).all(-1).any(-1), torch.nan)

    monkeypatch.setattr(QuickValues, "__call__", without_variance)
    x = torch.cat([candidates[:4], acquisition.X_baseline[:, None]])
    asked = {"X": x, "max_batch_size": 64}
    theirs = optimize._split_batch_eval_acqf(acquisition, **asked)
    assert QuickValues(acquisition, x[:1])(x).isnan().any()
    ours = LocalValues(optimize._split_batch_eval_acqf)(acquisition, **asked)
    torch.testing.assert_close(ours, theirs)


def test_what_is_not_known_is_left_to_botorch(acquisition: qLogNoisyExpectedHypervolumeImprovement) -> None:
    pairs = torch.zeros(1, 2, DIMENSIONS, dtype=torch.double)
    asked = []

    def original(acq_function: object, **others: object) -> Tensor:
        asked.append(others)
        return torch.ones(1)

    assert LocalValues(original)(acquisition, X=pairs, max_batch_size=7).tolist() == [1]
    assert [others["max_batch_size"] for others in asked] == [7]


def test_other_values_than_botorchs_are_refused(
    acquisition: qLogNoisyExpectedHypervolumeImprovement, candidates: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tried, "ALPHA_RELU", 0.2)
    with pytest.raises(DisagreementError, match="where BoTorch has"):
        agreeing(acquisition, candidates[:4])
