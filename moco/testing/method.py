"""The contract of a compression method, on a small network (moco/compression/methods/method.py)."""

from __future__ import annotations

import json
import math
from functools import cached_property

from moco.compression.methods.method import Method
from moco.compression.policy_file import checked_policy
from moco.compression.space.codec import NetworkCodec, cost_of
from moco.errors import SpaceError
from moco.policy import Policy
from moco.randomness import generator
from moco.space import SearchSpace
from moco.testing.network import DATA, builder, compressor, drawn, space_of, state_of, toy
from moco.testing.suite import Suite, raises_in_one_line


class MethodSuite(Suite):
    """What every method holds to, alone in a space over the layers of the network."""

    kind = "method"

    @cached_property
    def space(self) -> SearchSpace:
        """What it may do to each layer."""
        return space_of([self.make()])

    @cached_property
    def policies(self) -> list[Policy]:
        """Different policies, each of which changes something."""
        return [policy for policy in dict.fromkeys(drawn(self.space)) if policy.settings]

    def check_its_settings_are_its_own(self) -> None:
        method: Method = self.make()
        assert self.space.distributions, "a space refuses a setting that is another method's"
        assert method.settings
        assert not method.excludes & set(method.settings)

    def check_neutral_values_leave_the_network_alone(self) -> None:
        assert self.space.canonical(self.space.neutral) == Policy.of({})
        assert len(self.policies) > 1

    def check_a_point_means_a_policy_and_back(self) -> None:
        assert isinstance(self.space.codec, NetworkCodec)
        for policy in self.policies:
            assert self.space.canonical(self.space.codec.point(policy)) == policy
            assert {key for settings in policy.settings.values() for key in settings} <= set(self.plugin.settings)

    def check_there_are_no_more_policies_than_it_counts(self) -> None:
        assert isinstance(self.space.codec, NetworkCodec)
        assert len(self.policies) <= self.space.codec.most_policies()

    def check_settings_are_json_of_their_form_and_said_in_words(self) -> None:
        for policy in self.policies:
            assert checked_policy(json.loads(json.dumps(policy.settings))) == policy
            for settings in policy.settings.values():
                assert all(self.make().describe(key, value) for key, value in settings.items())
        malformed: tuple[object, ...] = (None, -1, [], {}, {"surely": "no such key"})
        for key in self.plugin.settings:
            assert all(self.make().expected_instead(key, value) for value in malformed)

    def check_costs_are_finite_numbers(self) -> None:
        for policy in self.policies:
            assert all(0 <= value < math.inf for value in cost_of(compressor().costs, policy).values())

    def check_the_network_is_left_as_it_was_when_it_prepares_itself(self) -> None:
        network = toy()
        before = state_of(network)
        self.make().prepare(network, compressor().graph, DATA, generator(0, self.name))
        assert state_of(network) == before

    def check_a_policy_is_built_and_proven_the_same_each_time(self) -> None:
        before = state_of(compressor().network)
        for policy in self.policies[:3]:
            assert builder().build(policy)[0].sha256 == builder().build(policy)[0].sha256
        assert state_of(compressor().network) == before

    def check_a_policy_is_applied_without_its_experiment(self) -> None:
        for policy in self.policies[:3]:
            n_parameters = sum(parameter.numel() for parameter in compressor().compress(policy).parameters())
            assert n_parameters == cost_of(compressor().costs, policy)["parameters"]

    def check_a_layer_that_the_network_lacks_is_named(self) -> None:
        setting = next(iter(self.policies[0].settings.values()))
        with raises_in_one_line(SpaceError, "absent"):
            compressor().check(Policy.of({"absent": setting}))
