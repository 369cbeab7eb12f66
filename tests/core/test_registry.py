from __future__ import annotations

from importlib import metadata

import pytest

from moco import registry
from moco.errors import ConfigError
from moco.searchers.random import RandomSearcher


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> metadata.EntryPoint:
    """A searcher of another package, as its entry point shows it."""
    point = metadata.EntryPoint("theirs", "moco.searchers.random:RandomSearcher", "moco.searcher")

    def entry_points(group: str, name: str | None = None) -> list[metadata.EntryPoint]:
        return [point] if group == point.group and name in (None, point.name) else []

    monkeypatch.setattr(registry, "entry_points", entry_points)
    return point


@pytest.mark.parametrize("kind", registry.BUILT_IN)
def test_every_registered_plug_in_exists_and_has_options(kind: str) -> None:
    for name in registry.BUILT_IN[kind]:
        assert registry.plugin(kind, name).Options, name


def test_plug_ins_of_installed_packages_are_found(installed: metadata.EntryPoint) -> None:
    assert "theirs" in registry.names("searcher")
    assert registry.plugin("searcher", "theirs") is RandomSearcher


def test_an_entry_point_does_not_replace_what_is_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    point = metadata.EntryPoint("random", "moco.searchers.uniform:UniformSearcher", "moco.searcher")
    monkeypatch.setattr(registry, "entry_points", lambda **_: [point])
    assert registry.plugin("searcher", "random") is RandomSearcher
    assert registry.names("searcher").count("random") == 1


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"searcher\.name: unknown searcher 'nsga-2'; did you mean 'nsga2'\?"):
        registry.plugin("searcher", "nsga-2", "searcher.name")


def test_a_far_off_name_lists_all() -> None:
    with pytest.raises(ConfigError, match=r"unknown searcher 'zzz'; valid: .*nsga2, .*random"):
        registry.plugin("searcher", "zzz")
