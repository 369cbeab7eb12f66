"""A base policy (S3.52): a search keeps the parameters of the methods that it has settings of, and searches the rest.

P then Q: the second search keeps the widths that the first one found, and chooses bits. The space declares the methods
of both. What the base sets becomes limits of single values (moco.compression.space.limits), so a point has only what
is left to choose; its widths are pinned besides, because another precision would round them otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moco.compression.channels.groups import ChannelGroup
from moco.compression.compressor import Compressor
from moco.compression.policy_file import Origin, read_policy
from moco.compression.policy_settings import by_method, each_setting, pruned
from moco.compression.space.codec import NetworkCodec
from moco.compression.space.group_parameters import NONE, Choice
from moco.compression.space.limits import Limit
from moco.compression.space.network_space import SpaceOptions
from moco.errors import SpaceError
from moco.policy import Policy
from moco.setting_owners import words_of
from moco.space import SearchSpace
from moco.trial import Point

WHERE = "space.base"


@dataclass(frozen=True)
class BasePolicy:
    """What a search builds on: a policy, and how errors call it."""

    policy: Policy
    where: str = WHERE

    @staticmethod
    def read(path: Path, compressor: Compressor, origin: Origin) -> BasePolicy:
        """That of a policy.json; a SpaceError where it is missing, malformed or of another network or ranking."""
        policy = read_base(path, origin)
        base = BasePolicy(policy, f"{WHERE}: {path}")
        try:
            compressor.check(policy)
        except SpaceError as error:
            raise SpaceError(f"{base.where}: {error}") from None
        return base

    def kept_in(
        self,
        options: SpaceOptions,
        channels: Iterable[ChannelGroup],
        space_of: Callable[[SpaceOptions], SearchSpace],
    ) -> SpaceOptions:
        """The options with what the base sets fixed; `space_of` gives the space of some options.

        A SpaceError where the base sets nothing, the space lacks one of its methods or cannot give its settings, or
        nothing else is left to search.
        """
        self._check_declared(options)
        held = frozenset(method.name for method, _ in by_method(self.policy))
        options = replace(options, offered=self._pinned(options, channels))
        space = space_of(options)
        codec = space.codec
        assert isinstance(codec, NetworkCodec)
        point = codec.point(self.policy)
        self._check_given(codec.policy(point), held)
        fixed = {name: Limit(values=(point[name],)) for c in codec.choices for name in _names(c, held, point)}
        if fixed.keys() >= space.distributions.keys():
            raise SpaceError(f"{self.where}: it sets all that the space declares; declare a method to search as well")
        return replace(options, limits={**options.limits, **fixed}, kept=words_of_methods(self.policy))

    def _check_declared(self, options: SpaceOptions) -> None:
        found, declared = by_method(self.policy), [method.name for method in options.methods]
        if not found:
            raise SpaceError(f"{self.where}: it changes nothing, so there is nothing to keep; leave {WHERE} out")
        for method, _ in found:
            if method.name not in declared:
                raise SpaceError(
                    f"{self.where}: it has settings of '{method.name}', which the space does not declare "
                    f"({', '.join(declared)}); declare it as the base's own search did"
                )

    def _pinned(
        self, options: SpaceOptions, channels: Iterable[ChannelGroup]
    ) -> Mapping[str, Mapping[str, Sequence[int]]]:
        """In every precision the base's widths alone, where it has any; whole channel groups stay whole."""
        widths = {name: kept for name, (kept, _) in pruned(self.policy).items()}
        if not widths:
            return options.offered
        pinned = {group.name: (widths.get(group.name, group.channels),) for group in channels}
        return dict.fromkeys(options.precisions, pinned)

    def _check_given(self, executed: Policy, held: frozenset[str]) -> None:
        """Pass the policy of the base's point in the space: its settings by the base's methods are the base's."""
        wanted, got = _of(self.policy, held), _of(executed, held)
        for name in dict.fromkeys((*wanted, *got)):
            if wanted.get(name) != got.get(name):
                raise SpaceError(
                    f"{self.where}: it is not of this space: '{name}' has {_in_words(wanted.get(name))} in it, the "
                    f"nearest here is {_in_words(got.get(name))}; declare groups, bounds and ignored layers as the "
                    "base's own search did"
                )


def read_base(path: Path, origin: Origin | None = None) -> Policy:
    """The policy of `space.base`; a SpaceError as of `read_policy`."""
    try:
        return read_policy(path, origin)
    except SpaceError as error:
        raise SpaceError(f"{WHERE}: {error}") from None


def _names(choice: Choice, held: frozenset[str], point: Point) -> list[str]:
    """The parameters of a layer group that the base's methods set; its choice of a method too, where it made one."""
    names = [name for method, part in choice.parts if method.name in held for name, _ in part.open.values()]
    chosen = [name for name, _ in choice.chosen.open.values() if point[name] != NONE]
    return [*names, *chosen]


def _of(policy: Policy, held: frozenset[str]) -> dict[str, dict[str, Any]]:
    """Settings by name, of these methods alone."""
    found: dict[str, dict[str, Any]] = {}
    for method, name, setting in each_setting(policy):
        if method.name in held:
            found.setdefault(name, {}).update(setting)
    return found


def _in_words(setting: Mapping[str, Any] | None) -> str:
    return ", ".join(words_of(key, value) for key, value in (setting or {}).items()) or "nothing"


def words_of_methods(policy: Policy) -> tuple[str, ...]:
    """What a policy sets, a method a text: `filter pruning (7)`, with the number of layers or channel groups."""
    counts = Counter(method.name.replace("_", " ") for method, _, _ in each_setting(policy))
    return tuple(f"{name} ({count})" for name, count in counts.items())
