from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest, truncnorm

from benchmarks.problems.layers import Layers, instance
from moco.errors import ConfigError
from moco.searchers import ddpg
from moco.searchers.agents.layer_rewards import RewardScale, ranked, reward, rewards
from moco.searchers.agents.layer_walk import LayerOptions, LayerWalk
from moco.searchers.ddpg import DDPGOptions, DDPGSearcher, Replay, truncated_normal
from moco.testing.loop import finished, points, run, told, without_result
from moco.trial import Suggestion, Trial, TrialState

LAYERS = instance(0, n_layers=4)
PROBLEM = LAYERS.problem()
QUICK = DDPGOptions(warmup=4, hidden=(16,), updates=1, batch=16)


def searcher(options: DDPGOptions = QUICK, seed: int = 0) -> DDPGSearcher:
    return DDPGSearcher(PROBLEM, options, seed)


def trials(n: int, options: DDPGOptions = QUICK) -> list[Trial]:
    return run(searcher(options), PROBLEM, LAYERS.evaluate, n)


@pytest.mark.parametrize(("mean", "deviation"), [(0.5, 0.5), (0.02, 0.2), (0.97, 0.05), (0.3, 1.0)])
def test_the_truncated_normal_is_scipys(mean: float, deviation: float) -> None:
    drawn = truncated_normal(np.random.default_rng(0), np.full(4000, mean), deviation)
    exact = truncnorm((0 - mean) / deviation, (1 - mean) / deviation, mean, deviation)
    assert kstest(drawn, exact.cdf).pvalue > 0.01
    assert drawn.min() >= 0
    assert drawn.max() <= 1


def test_the_truncated_normal_survives_hardly_any_noise() -> None:
    drawn = truncated_normal(np.random.default_rng(0), np.array([0.0, 0.5, 1.0]), 1e-3)
    assert drawn == pytest.approx([0, 0.5, 1], abs=5e-3)


def replay_of(told_trials: list[Trial]) -> tuple[Replay, LayerWalk]:
    walk = LayerWalk(PROBLEM, LayerOptions())
    replay = Replay(100, walk.mask)
    for trial in told_trials:
        replay.add(walk.of(trial.point), trial)
    return replay, walk


def test_the_replay_holds_what_was_executed() -> None:
    """Of a proposal of half a channel more than fits, the transition has the rounded ratio (W20)."""
    width = int(LAYERS.channels[0])
    proposed = {**PROBLEM.space.uniform(0.5), "layer0.keep": 0.5 + 0.4 / width}
    trial = finished(PROBLEM, LAYERS.evaluate, Suggestion(0, proposed), 0)
    replay, _ = replay_of([trial])
    drawn = replay.draw(np.random.default_rng(0), (1, 64), None, "graded")
    first = drawn.states[0, :, 0] == -1  # the index of the first layer
    executed = (np.ceil((0.5 + 0.4 / width) * width) / width - 0.1) / 0.9
    assert drawn.actions[0, first, 0].unique().tolist() == [pytest.approx(executed, abs=1e-6)]


def test_every_transition_is_drawn_equally_often_also_the_first() -> None:
    replay, _ = replay_of(trials(5))
    drawn = replay.draw(np.random.default_rng(0), (100, 100), RewardScale(0.0, 1.0), "graded")
    pairs = zip(drawn.states[..., 0].flatten().tolist(), drawn.rewards.flatten().tolist(), strict=True)
    counts = Counter(pairs)  # by the index of the layer and the reward of the episode
    assert len(counts) == 4 * 5
    assert min(counts.values()) > 400  # 500 expected
    assert max(counts.values()) < 600


def test_only_the_last_layer_is_terminal() -> None:
    replay, _ = replay_of(trials(3))
    drawn = replay.draw(np.random.default_rng(0), (1, 200), None, "graded")
    last = drawn.states[0, :, 0] == 1
    assert drawn.follows[0, last].unique().tolist() == [0]
    assert drawn.follows[0, ~last].unique().tolist() == [1]


def test_every_step_of_an_episode_earns_its_reward() -> None:
    told_trials = trials(4)
    replay, _ = replay_of(told_trials)
    scale = RewardScale(-1.0, 2.0)
    drawn = replay.draw(np.random.default_rng(0), (1, 400), scale, "graded")
    expected = sorted({reward(trial, scale) for trial in told_trials})
    assert drawn.rewards.unique().tolist() == pytest.approx(expected)


def test_rewards_are_ranked_among_all_that_is_kept() -> None:
    told_trials = trials(5)
    replay, _ = replay_of(told_trials)
    drawn = replay.draw(np.random.default_rng(0), (1, 400), None, "ranks")
    assert drawn.rewards.unique().tolist() == pytest.approx(sorted(ranked(told_trials)))


def test_the_oldest_episodes_are_forgotten() -> None:
    told_trials = trials(6)
    walk = LayerWalk(PROBLEM, LayerOptions())
    replay = Replay(2, walk.mask)
    for trial in told_trials:
        replay.add(walk.of(trial.point), trial)
    scale = RewardScale(-1.0, 2.0)
    drawn = replay.draw(np.random.default_rng(0), (1, 100), scale, "graded")
    assert drawn.rewards.unique().tolist() == pytest.approx(sorted(reward(t, scale) for t in told_trials[-2:]))


def test_a_constant_added_to_all_rewards_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """W23: the moving average takes it away, so the gradients of both networks stay."""
    ledger = trials(8)
    plain = told(searcher(), ledger)
    monkeypatch.setattr(ddpg, "rewards", lambda *given: rewards(*given) + 1000.0)
    shifted = told(searcher(), ledger)
    first, second = ([dict(s.ask().point) for _ in range(3)] for s in (plain, shifted))
    for one, other in zip(first, second, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_scores_in_other_units_give_the_same_suggestions() -> None:
    """W13, with a factor that floating point multiplies exactly."""

    def scaled(point: Any) -> dict[str, float]:
        return {**LAYERS.evaluate(point), "loss": 128 * LAYERS.evaluate(point)["loss"]}

    ledger = trials(12)
    assert points(run(searcher(), PROBLEM, scaled, 12)) == points(ledger)


def test_starts_count_as_warmup_and_are_learned_from() -> None:
    starts = [
        finished(PROBLEM, LAYERS.evaluate, Suggestion(-1 - n, PROBLEM.space.uniform(n / 9)), n) for n in range(10)
    ]
    noiseless = DDPGOptions(warmup=4, noise=1e-3, noise_least=1e-3, hidden=(16,), updates=4, actor_rate=1e-3)
    with_starts = told(searcher(noiseless), starts)
    asked = [with_starts.ask().point["layer0.keep"] for _ in range(5)]
    assert np.ptp(asked) < 0.05  # the actor acts; uniform actions would be all over the range


def test_failed_trials_are_no_warmup() -> None:
    agent = searcher(DDPGOptions(warmup=2, noise=1e-3, noise_least=1e-3, hidden=(16,)))
    for n in range(6):
        agent.tell(without_result(PROBLEM, agent.ask(), n, TrialState.FAILED))
    asked = [agent.ask().point["layer0.keep"] for _ in range(8)]
    assert np.ptp(asked) > 0.2


@pytest.mark.parametrize("k", [3, 6, 11])
def test_a_restart_in_the_middle_of_learning_goes_on_alike(k: int) -> None:
    uninterrupted = trials(14)
    rebuilt = told(searcher(), uninterrupted[:k])
    assert points(run(rebuilt, PROBLEM, LAYERS.evaluate, 14 - k, first=k)) == points(uninterrupted[k:])


def test_a_repeated_policy_is_drawn_anew_within_the_bounds() -> None:
    """With next to no noise the actor repeats itself, and each repeat is drawn with more noise."""
    options = DDPGOptions(warmup=2, noise=1e-4, noise_least=1e-4, hidden=(8,), updates=1, actor_rate=1e-9)
    ledger = run(searcher(options), PROBLEM, LAYERS.evaluate, 20)
    assert len({trial.policy for trial in ledger}) == 20
    assert all(trial.feasible for trial in ledger)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"warmup": 0}, "searcher.warmup"),
        ({"noise": 0.0}, "searcher.noise"),
        ({"noise_decay": 1.5}, "searcher.noise_decay"),
        ({"discount": -0.1}, "searcher.discount"),
        ({"actor_rate": 0}, "searcher.actor_rate"),
        ({"hidden": ()}, "searcher.hidden"),
        ({"state": "s2"}, "searcher.state"),
        ({"bounds": "penalty"}, "searcher.bounds"),
        ({"reward": "none"}, "searcher.reward"),
        ({"saturation": -1.0}, "searcher.saturation"),
    ],
)
def test_bad_options_are_refused(option: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        DDPGOptions(**option)


def learned(layers: Layers, seed: int) -> tuple[float, float]:
    """Gaps of DDPG and of random search with the same bounds."""
    problem, gaps = layers.problem(), []
    for options in (DDPGOptions(), DDPGOptions(warmup=1000)):
        ledger = run(DDPGSearcher(problem, options, seed), problem, layers.evaluate, 150)
        gaps.append(layers.gap(min(t.outcome.losses[0] for t in ledger if t.outcome and t.feasible)))
    return gaps[0], gaps[1]


@pytest.mark.slow
def test_it_beats_random_search_with_the_same_bounds() -> None:
    """On 5 of 6 instances; two searchers that are alike would pass in 7 of 64 times."""
    wins = [ours < theirs for ours, theirs in (learned(instance(seed), seed) for seed in range(6))]
    assert sum(wins) >= 5
