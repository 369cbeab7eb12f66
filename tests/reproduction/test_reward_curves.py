"""F5.2's agents: each takes its options, and all of them see and earn the same."""

from __future__ import annotations

from moco.experiment.options import options_of
from moco.registry import plugin
from moco.reproduction.cards.reward_curves import agents


def test_all_agents_see_and_earn_the_same_and_a_quarter_is_warm_up() -> None:
    built = {}
    for name, given in agents(60).items():
        kind = plugin("searcher", str(given["name"]))
        built[name] = options_of(kind.Options, {key: value for key, value in given.items() if key != "name"}, "agent")

    assert set(built) == {"ddpg", "ppo", "ppo_q"}
    assert {(one.features, one.reward, one.bounds) for one in built.values()} == {("s5", "score", "none")}
    assert built["ddpg"].warmup == 15
    assert built["ppo_q"].baseline == "none"
