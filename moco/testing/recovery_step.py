"""The contract of a step of recovery, on candidates of a small network (moco/recovery/step.py)."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import nn

from moco.compression.methods.method import Method
from moco.policy import Policy
from moco.recovery.recovery import Recovery, RecoveryPlan
from moco.recovery.step import Candidate, Moment, RecoveryStep
from moco.registry import BUILT_IN, plugin
from moco.testing.network import DATA, IMAGES, compressor, drawn, space_of, state_of
from moco.testing.suite import Suite


class RecoveryStepSuite(Suite):
    """What every step holds to; it is put to policies of moco's own methods that it changes."""

    kind = "recovery_step"

    @cached_property
    def policies(self) -> list[Policy]:
        """Policies that it changes."""
        step: RecoveryStep = self.make()
        pruning = [method for method in map(_method, BUILT_IN["method"]) if method.removes_channels]
        others = [method for method in map(_method, BUILT_IN["method"]) if not method.removes_channels]
        spaces = [space_of([method, *others]) for method in pruning]
        found = [policy for space in spaces for policy in drawn(space, 5) if step.changes(policy)]
        assert found, "`changes` says that it acts on none of the policies of moco's methods"
        return found[:3]

    def recovered(self, policy: Policy) -> nn.Module:
        """The policy's network after the step."""
        made, step = compressor(), self.make()
        labels = DATA.labels
        assert labels is not None
        training = (lambda: (IMAGES, labels)) if step.needs_training_images else None
        recovery = Recovery(made.network, made.graph, IMAGES, RecoveryPlan((step,)), 0, training)
        return recovery.recovered(step.moment, self.candidate(policy)).network

    def candidate(self, policy: Policy) -> Candidate:
        """The policy's network as the step meets it."""
        made = compressor()
        kept = made.kept(policy)
        thin = made.graph.thin(made.network, kept)
        if self.make().moment is not Moment.AFTER_PRUNING:
            made.apply_(thin, policy)
        return Candidate(thin, policy, kept, made.kept_of_batch_norms(kept))

    def check_it_acts_at_a_moment_of_the_plan(self) -> None:
        assert isinstance(self.plugin.moment, Moment)

    def check_weights_change_and_the_structure_does_not(self) -> None:
        changed = []
        for policy in self.policies:
            before, after = self.candidate(policy).network.state_dict(), self.recovered(policy)
            assert {n: v.shape for n, v in after.state_dict().items()} == {n: v.shape for n, v in before.items()}
            assert all(torch.isfinite(value).all() for value in after.state_dict().values())
            assert not any(module.training for module in after.modules())
            changed += [not torch.equal(value, before[name]) for name, value in after.state_dict().items()]
        assert any(changed)

    def check_the_same_candidate_gives_the_same_weights_bit_by_bit(self) -> None:
        for policy in self.policies:
            assert state_of(self.recovered(policy))[0] == state_of(self.recovered(policy))[0]

    def check_the_original_and_all_that_is_global_are_left_alone(self) -> None:
        before = state_of(compressor().network), torch.get_rng_state().tolist(), torch.get_num_threads()
        self.recovered(self.policies[0])
        after = state_of(compressor().network), torch.get_rng_state().tolist(), torch.get_num_threads()
        assert after == before

    def check_its_written_form_is_the_same_each_time(self) -> None:
        assert self.make().written() == self.make().written()
        assert "\n" not in self.make().written()


def _method(name: str) -> Method:
    found: Method = plugin("method", name)()
    return found
