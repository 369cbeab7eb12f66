"""Ax as its own users run it: a client that is given all trials so far and asked for the next one."""

from __future__ import annotations

from typing import Any

from optuna.distributions import FloatDistribution

from moco.problem import Problem
from moco.searchers.models.torch_draws import silently_imported
from moco.testing.loop import Evaluate
from moco.trial import Outcome
from tests.searchers.bare import ask_seed, outcome_of

with silently_imported():
    from ax.api.client import Client
    from ax.api.configs import RangeParameterConfig


def ax_client(problem: Problem, seed: int | None) -> Client:
    """A client for a space of floats."""
    client = Client(random_seed=seed)
    parameters = []
    for name, d in problem.space.distributions.items():
        assert isinstance(d, FloatDistribution)
        parameters.append(RangeParameterConfig(name, (d.low, d.high), "float", scaling="log" if d.log else "linear"))
    client.configure_experiment(parameters)
    losses = ", ".join(f"-loss{i}" for i in range(len(problem.objectives)))
    client.configure_optimization(losses, [f"violation{i} <= 0" for i in range(len(problem.bounds))])
    return client


def tell(client: Client, point: dict[str, Any], outcome: Outcome) -> None:
    """Give the client a trial that it did not ask for."""
    losses = {f"loss{i}": loss for i, loss in enumerate(outcome.losses)}
    violations = {f"violation{i}": violation for i, violation in enumerate(outcome.violations)}
    client.complete_trial(client.attach_trial(point), raw_data={**losses, **violations})


def ax_points(problem: Problem, evaluate: Evaluate, seed: int, n: int) -> list[dict[str, Any]]:
    """The first n suggestions, each of a new client that is told those before."""
    told: list[tuple[dict[str, Any], Outcome]] = []
    for number in range(n):
        client = ax_client(problem, ask_seed(seed, number))
        # A client that lives on is past the centre; a new one would step from there to Sobol, not to the model.
        client.configure_generation_strategy(initialize_with_center=number == 0)
        for point, outcome in told:
            tell(client, point, outcome)
        (suggested,) = client.get_next_trials(1).values()
        told.append((dict(suggested), outcome_of(problem, evaluate, dict(suggested))))
    return [point for point, _ in told]
