"""A search of S3's: an agent, a target cost, the published reward; then the chosen network trained on and scored.

The reward is S3.30's on the modelled latency; the search takes what earns most of it, as published. Every candidate is
trained for a part of an epoch before it is scored (an epoch in S3's code), the chosen one for longer (30 in S3).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from moco.compression.policy_file import policy_file
from moco.evaluation.accuracy import Correct
from moco.experiment.options import options_of
from moco.metrics import TOP1_ERROR
from moco.policy import Policy
from moco.problem import Problem
from moco.registry import plugin
from moco.reproduction.cards.galen_agents import PQ, Agent, sensitivity_file
from moco.reproduction.cards.modelled_latency import ModelledLatency
from moco.reproduction.lab import Lab, opened
from moco.reproduction.setting import Setting
from moco.reproduction.subjects import DIGITS, RESNET20, Subject
from moco.searchers.agents.layer_walk import LayerOptions, LayerWalk
from moco.strategy import Strategy
from moco.study import Budget, Study
from moco.trial import Evaluation, MetricValue, Trial
from moco.trial_rank import best

BETA = -3.0
PART, WHOLE = 0.25, 1.0
"""Epochs that a candidate is trained for before it is scored, at the small scale and at the full one."""
SECOND = 1000
"""What a second try adds to the seed of its agent."""
COST = "modelled_latency"
UNTIMED = {"protocol": "galen", "metric": "bops", "bounded": False}
"""What the lab's own objective is: one that times nothing. The search has the reward below."""
STORE = "galen.sqlite"


@dataclass(frozen=True)
class Reward:
    """S3.30 at one target: accuracy less three times what the cost is off, either way."""

    target: float

    def __call__(self, evaluation: Evaluation) -> float:
        """The reward of an evaluation that tells its modelled latency."""
        found = evaluation.metrics
        return 1 - found[TOP1_ERROR].value + BETA * abs(found[COST].value / self.target - 1)


@dataclass(frozen=True)
class Choice:
    """The network that a search has chosen.

    Attributes:
        cost: modelled latency over the uncompressed network's.
        action_sd: standard deviation of its actions over the layers, a mean over the actions.
        right: which images of each split it has right once it is trained on.
    """

    agent: Agent
    target: float
    policy: Policy
    cost: float
    reward: float
    episodes: int
    action_sd: float
    right: Mapping[str, Correct] = field(default_factory=dict)

    @property
    def evidence(self) -> dict[str, float]:
        """Its cost and its accuracies in points, as findings compare them."""
        search, unseen = (100 * self.right[split].accuracy for split in ("search", "certification"))
        return {"cost": _six(self.cost), "search": _six(search), "unseen": _six(unseen)}


@dataclass(frozen=True)
class Bench:
    """A subject on which agents search, and the lab in which chosen networks are trained on."""

    subject: Subject
    setting: Setting
    trained: Lab
    labs: ExitStack  # of the agents, open as long as the bench is
    _opened: dict[tuple[str, int], Lab] = field(default_factory=dict)

    def search(
        self, agent: Agent, target: float, episodes: int, *, second: bool = False, constant: bool = False
    ) -> Choice:
        """What an agent chooses, trained on; a `second` try draws other numbers."""
        lab = self._lab_of(agent)
        return self._trained(_chosen(lab, self.latency, agent, target, episodes, second=second, constant=constant))

    def untrained(self, agent: Agent, target: float, episodes: int) -> Choice:
        """What an agent chooses, for those who look at its policy alone."""
        return _chosen(self._lab_of(agent), self.latency, agent, target, episodes)

    def one_after_the_other(self, first: Agent, then: Agent, target: float, episodes: int) -> tuple[Choice, Choice]:
        """What the first of two agents chooses, and the second on it, trained on (S3.52); half of the episodes each."""
        begun = _chosen(self._lab_of(first), self.latency, first, halfway(target), episodes // 2)
        with tempfile.TemporaryDirectory() as folder:
            base, job = Path(folder) / "policy.json", self.trained.prepared.job
            written = policy_file(begun.policy, job.network_name, job.plan.space.ranking)
            base.write_text(json.dumps(written), encoding="utf-8")
            with self._lab(replace(then, space={**PQ.space, "base": str(base)})) as lab:
                return begun, self._trained(_chosen(lab, self.latency, then, target, episodes - episodes // 2))

    @property
    def latency(self) -> ModelledLatency:
        """The model of the subject's network."""
        return ModelledLatency(self.trained.prepared.evaluator.builder.compressor.costs)

    def _lab_of(self, agent: Agent) -> Lab:
        """The agent's lab; one serves all of its searches."""
        key = agent.name, int(agent.space["channel_multiple"])
        if key not in self._opened:
            self._opened[key] = self.labs.enter_context(self._lab(agent))
        return self._opened[key]

    @contextmanager
    def _lab(self, agent: Agent) -> Iterator[Lab]:
        space = {"groups": "per-layer", **agent.space, "sensitivity": str(sensitivity_file(self.subject, self.setting))}
        store = self.setting.folder / STORE
        trained = (training(WHOLE if self.setting.full else PART),)
        with opened(
            self.subject, self.setting, space, recovery=trained, objective=UNTIMED, store=store, like=self.trained
        ) as lab:
            yield lab

    def _trained(self, choice: Choice) -> Choice:
        return replace(choice, right=self.trained.right_on(choice.policy, ("search", "certification")))


def _chosen(  # noqa: PLR0913, each is of the search
    lab: Lab,
    latency: ModelledLatency,
    agent: Agent,
    target: float,
    episodes: int,
    *,
    second: bool = False,
    constant: bool = False,
) -> Choice:
    """What earns an agent the highest reward."""
    lab.setting.tell(f"{lab.subject.name}: {agent.name} at {target:g}, {episodes} episodes")
    given = agent.options(lab.setting, constant=constant)
    name = str(given.pop("name"))
    kind = plugin("searcher", name)
    options = options_of(kind.Options, given, "searcher")
    problem = Problem(lab.prepared.space, {TOP1_ERROR: "minimize"}, scorer=Reward(target))
    searcher = Strategy(name, name, options, kind).build(problem, lab.setting.seed + SECOND * second)
    study = Study(problem, searcher, _costed(lab, latency))
    study.run(Budget(trials=episodes))
    trial = best(study.trials)
    assert trial is not None
    assert trial.policy is not None
    assert trial.score is not None
    spread = _spread(problem, options, trial)
    return Choice(agent, target, trial.policy, latency.ratio(trial.policy), trial.score, episodes, spread)


@contextmanager
def benched(subject: Subject, setting: Setting) -> Iterator[Bench]:
    """The subject, ready to be searched; its files go when the block ends."""
    space, trained = {"groups": "per-layer", **PQ.space}, (training(retraining(setting)),)
    store = setting.folder / STORE
    with opened(subject, setting, space, recovery=trained, objective=UNTIMED, store=store) as lab, ExitStack() as labs:
        yield Bench(subject, setting, lab, labs)


def subjects(setting: Setting) -> tuple[Subject, ...]:
    """The networks of these cards: the small one on digits, at the full scale ResNet-20 too."""
    return (DIGITS, RESNET20) if setting.full else (DIGITS,)


def episodes_of(setting: Setting) -> int:
    """Episodes of a search, of which ten are a warm-up; S3 has 410, and 310 for the agent that quantises."""
    return setting.of(30, 410)


def retraining(setting: Setting) -> int:
    """Epochs for which a chosen network is trained on; 30 in S3."""
    return setting.of(3, 30)


def training(epochs: float) -> Mapping[str, Any]:
    """A training in the codes of the layers that have some, else in floats."""
    return {"quantization_aware": {"epochs": epochs, "learning_rate": 0.05, "batch_size": 32}}


def halfway(target: float) -> float:
    """What the first of two agents aims at: half of the way (S3.52, by its captions)."""
    return 1 - 0.5 * (1 - target)


def _costed(lab: Lab, latency: ModelledLatency) -> Callable[[Policy], Evaluation]:
    """The lab's evaluation, with the modelled latency among its metrics."""

    def evaluate(policy: Policy) -> Evaluation:
        found = lab.untimed(policy)
        return replace(found, metrics={**found.metrics, COST: MetricValue(latency.ratio(policy))})

    return evaluate


def _spread(problem: Problem, options: LayerOptions, trial: Trial) -> float:
    """How much a trial's executed actions differ between layers that have them: a deviation, a mean over actions."""
    walk = LayerWalk(problem, options)
    actions, has = walk.of(trial.point, trial.suggestion.notes).actions, walk.mask > 0
    return float(np.mean([np.std(actions[has[:, place], place]) for place in range(walk.n_actions)]))


def _six(value: float) -> float:
    return float(f"{value:.6g}")
