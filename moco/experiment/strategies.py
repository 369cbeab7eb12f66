"""The strategies of a comparison: registered searchers, each with options, told apart by their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moco.errors import ConfigError, nearest
from moco.experiment.explain import joined
from moco.experiment.options import name_and_options, options_of
from moco.experiment.schema import NAME
from moco.registry import names, plugin
from moco.strategy import Strategy

LABEL, SEARCHER = "label", "name"


def strategies_of(given: Sequence[str | Mapping[str, Any]], where: str = "searchers") -> tuple[Strategy, ...]:
    """The strategies, in their order, of registered names or `{name: …, label: …, option: value}`.

    Without a label one is called by its name. A ConfigError at the key path `where` refuses fewer than two, an unknown
    searcher or option (the nearest is named), and two of one label.
    """
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ConfigError(f"{where}: expected a list of searchers, got {given!r}")
    found = tuple(_strategy(entry, f"{where}[{index}]") for index, entry in enumerate(given))
    labels = [strategy.label for strategy in found]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(f"{where}: '{label}' stands there twice; give each a label of its own")
    if len(found) < 2:
        valid = ", ".join(names("searcher"))
        raise ConfigError(f"{where}: expected at least two to compare, got {len(found)}; valid: {valid}")
    return found


def chosen(
    requested: Sequence[str], declared: Sequence[Mapping[str, Any]], section: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """What `--searchers` names: strategies that the experiment declares, by label, or registered searchers.

    `declared` are the entries of `compare.searchers`, all of which are taken where nothing is requested; `section` is
    the experiment's own `searcher`, whose options its searcher keeps. A ConfigError refuses a name that is neither.
    """
    by_label = {str(entry.get(LABEL) or entry[SEARCHER]): entry for entry in declared}
    if not requested:
        return list(by_label.values()) if len(by_label) == len(declared) else list(declared)
    found: list[Mapping[str, Any]] = []
    for name in requested:
        if name in by_label:
            found.append(by_label[name])
        elif name in names("searcher"):
            found.append(dict(section) if section[SEARCHER] == name else {SEARCHER: name})
        else:
            raise ConfigError(f"--searchers: unknown searcher '{name}'{nearest(name, {*by_label, *names('searcher')})}")
    return found


def _strategy(given: object, where: str) -> Strategy:
    searcher, options = name_and_options("searcher", given, where)
    label = options.pop(LABEL, None) or searcher
    if not isinstance(label, str) or not NAME.match(label):
        raise ConfigError(
            f"{joined(where, LABEL)}: expected letters, digits and . _ + - (it names files), got {label!r}"
        )
    kind = plugin("searcher", searcher, joined(where, SEARCHER))
    return Strategy(label, searcher, options_of(kind.Options, options, where, (LABEL, SEARCHER)), kind)
