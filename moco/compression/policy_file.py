"""A policy as policy.json holds it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moco.compression.rankings.ranking import USUAL_RANKING
from moco.errors import SpaceError, nearest
from moco.policy import Policy
from moco.setting_owners import method_of
from moco.text_file import read_text

FORMAT = 1
KEYS = ("format", "network", "ranking", "groups")
MOST_BYTES = 16 * 1024 * 1024
"""Of a file: a thousand layers with all settings take 200 KiB."""


@dataclass(frozen=True)
class Origin:
    """What a policy is of: a network by its name, and the ranking that says which filters its widths keep."""

    network: str
    ranking: str | Mapping[str, Any] = USUAL_RANKING

    def check(self, data: Mapping[str, Any], where: str) -> None:
        """Refuse, by a SpaceError, the content of a policy.json that says it is of something else."""
        if (network := data.get("network", self.network)) != self.network:
            raise SpaceError(
                f"{where}: is a policy of the network '{network}', this one is '{self.network}'; if they are the same "
                "under two names, change `network` in the file"
            )
        if (ranked := data.get("ranking", self.ranking)) != self.ranking:
            raise SpaceError(
                f"{where}: its filters were ranked by '{ranked}', here they are by '{self.ranking}'; set `rank` to it"
            )


def policy_file(policy: Policy, network: str, ranking: str | Mapping[str, Any] = USUAL_RANKING) -> dict[str, Any]:
    """The policy as it is written to policy.json, with the ranking of filters where it is not the usual one."""
    told = {} if ranking == USUAL_RANKING else {"ranking": ranking}
    return {"format": FORMAT, "network": network, **told, "groups": policy.settings}


def read_policy(path: Path, origin: Origin | None = None) -> Policy:
    """The policy in a policy.json; whether it fits a network shows when it is applied.

    A SpaceError refuses another form, and a policy that is not of the `origin`, where that is given.
    """
    try:
        text = read_text(path, MOST_BYTES)
        data = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refused, parse_float=_finite)
    except RecursionError:
        raise SpaceError(f"{path}: expected a policy in JSON: it is nested too deep") from None
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise SpaceError(f"{path}: expected a policy in JSON: {told}") from None
    return policy_in(data, str(path), origin)


def policy_in(data: object, where: str, origin: Origin | None = None) -> Policy:
    """The policy in the content of a policy.json; a SpaceError as of `read_policy`."""
    if not isinstance(data, Mapping) or "format" not in data or not isinstance(data.get("groups"), Mapping):
        raise SpaceError(f"{where}: expected {{'format': {FORMAT}, 'network': …, 'groups': {{…}}}}")
    if type(data["format"]) is not int or data["format"] != FORMAT:
        raise SpaceError(f"{where}: format: expected {FORMAT}, got {data['format']!r}; did another moco write it?")
    for key in data:
        if key not in KEYS:
            raise SpaceError(f"{where}: unknown key '{key}'{nearest(str(key), KEYS)}")
    if not isinstance(network := data.get("network", ""), str) or not network.isprintable():
        raise SpaceError(f"{where}: network: expected a name, got {network!r}")
    ranking = data.get("ranking", USUAL_RANKING)
    if not isinstance(ranking.get("name") if isinstance(ranking, Mapping) else ranking, str):
        raise SpaceError(f"{where}: ranking: expected a name or {{name: …, option: value}}, got {ranking!r}")
    if origin is not None:
        origin.check(data, where)
    return checked_policy(data["groups"], f"{where}: groups")


def _refused(constant: str) -> None:
    raise ValueError(f"expected finite numbers, got {constant}")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"expected finite numbers, got {text}")
    return number


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"'{next(name for name in names if names.count(name) > 1)}' stands there twice")
    return found


def checked_policy(groups: Mapping[str, Any], where: str = "policy") -> Policy:
    """The policy of settings by layer; a SpaceError names the layer whose setting is not of a policy.json's form."""
    found: dict[str, dict[str, Any]] = {}
    for name, settings in groups.items():
        _check(settings, f"{where}.{name}")
        for key, value in settings.items():
            if canonical := method_of(key).canonical({key: value}):
                found.setdefault(name, {}).update(canonical)
    return Policy.of(found)


def _check(settings: object, where: str) -> None:
    if not isinstance(settings, Mapping):
        raise SpaceError(f"{where}: expected a mapping, got {settings!r}")
    for key, value in settings.items():
        expected = method_of(key, where).expected_instead(key, value)
        if expected is not None:
            raise SpaceError(f"{where}.{key}: expected {expected}, got {value!r}")
    for other in settings:
        method = method_of(other)
        for one in settings:
            if one in method.excludes or (one < other and one in method.settings):
                raise SpaceError(f"{where}: expected '{one}' or '{other}', got both")
