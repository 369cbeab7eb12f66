from __future__ import annotations

import shutil
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from moco import registry
from moco.errors import ConfigError, SpaceError
from moco.experiment.options import made_of
from moco.optional import installed as is_installed
from moco.searchers.random import RandomSearcher
from moco.setting_owners import method_of, words_of
from moco.strategy import Strategy
from tests.core.studies import WIDE


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> metadata.EntryPoint:
    """A searcher of another package, as its entry point shows it."""
    point = metadata.EntryPoint("theirs", "moco.searchers.random:RandomSearcher", "moco.searcher")

    def entry_points(group: str, name: str | None = None) -> list[metadata.EntryPoint]:
        return [point] if group == point.group and name in (None, point.name) else []

    monkeypatch.setattr(registry, "entry_points", entry_points)
    return point


NEEDS = {"litert": "ai_edge_litert", "tensorrt": "tensorrt", "tvm": "tvm"}
"""What only some plug-ins need, and a machine for development does not have as a rule."""


def built_in(kind: str) -> list[str]:
    """Names of the built-in plug-ins that can be imported here."""
    return [name for name in registry.BUILT_IN[kind] if name not in NEEDS or is_installed(NEEDS[name])]


@pytest.mark.parametrize("kind", registry.BUILT_IN)
def test_every_registered_plug_in_exists_and_meets_its_contract(kind: str) -> None:
    for name in built_in(kind):
        assert registry.lacking(registry.plugin(kind, name), kind, name) is None, name


def test_plug_ins_of_installed_packages_are_found(installed: metadata.EntryPoint) -> None:
    assert "theirs" in registry.names("searcher")
    assert registry.plugin("searcher", "theirs") is RandomSearcher


def test_an_entry_point_does_not_replace_what_is_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    point = metadata.EntryPoint("random", "moco.searchers.uniform:UniformSearcher", "moco.searcher")
    monkeypatch.setattr(registry, "entry_points", lambda **_: [point])
    told = r"^searcher\.name: 'moco' and 'moco' each have the searcher 'random'; moco's is used$"
    with pytest.warns(UserWarning, match=told):
        assert registry.plugin("searcher", "random", "searcher.name") is RandomSearcher
    assert registry.names("searcher").count("random") == 1


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"searcher\.name: unknown searcher 'nsga-2'; did you mean 'nsga2'\?"):
        registry.plugin("searcher", "nsga-2", "searcher.name")


def test_a_far_off_name_lists_all() -> None:
    with pytest.raises(ConfigError, match=r"unknown searcher 'zzz'; valid: .*nsga2, .*random"):
        registry.plugin("searcher", "zzz")


BAD = ("Bare", "Empty", "Loud", "Misnamed", "Optionless", "Quits")
BROKEN = """
import dataclasses

@dataclasses.dataclass
class Options:
    pass

class Bare:
    Options = Options

class Empty:
    Options = Options
    locals().update(dict.fromkeys(MEMBERS))

class Misnamed:
    Options, name = Options, "other"

class Optionless:
    name = "optionless"

def __getattr__(name):
    raise {"Loud": RuntimeError("two\\nlines"), "Quits": SystemExit(0)}.get(name) or AttributeError(name)

for cls in (Misnamed, Optionless):
    for member in MEMBERS:
        if member not in vars(cls):
            setattr(cls, member, ())
"""
KINDS = tuple(registry.BUILT_IN)
NAMED = [kind for kind in KINDS if "name" in registry.MEMBERS[kind]]


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with plug-ins of every kind, none of which works, as pip would have installed it; and one that does."""
    members = sorted({member for found in registry.MEMBERS.values() for member in found})
    (tmp_path / "their_broken.py").write_text(f"MEMBERS = {members}\n{BROKEN}", encoding="utf-8")
    (tmp_path / "their_good.py").write_text(
        "from moco.searchers.random import RandomSearcher as Good\n", encoding="utf-8"
    )
    places = ("absent = their_absent:Thing", *(f"{name.lower()} = their_broken:{name}" for name in BAD))
    points = "".join("\n".join((f"[moco.{kind}]", *places, "")) for kind in KINDS)
    for name, text in (("their-broken", points), ("their-good", "[moco.searcher]\ngood = their_good:Good\n")):
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("moco.setting_owners._of_plugins", {})
    for module in ("their_broken", "their_good"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


CANNOT, LACKS = "cannot be imported: ", "does not meet this version's contract: "


@pytest.mark.parametrize(
    ("kind", "name", "why"),
    [
        *((kind, "absent", f"{CANNOT}ModuleNotFoundError: No module named 'their_absent'") for kind in KINDS),
        *((kind, "loud", f"{CANNOT}RuntimeError: two lines") for kind in KINDS),
        *((kind, "quits", f"{CANNOT}SystemExit: 0") for kind in KINDS),
        *((kind, "empty", f"{LACKS}it has no {', '.join(registry.MEMBERS[kind])}") for kind in KINDS),
        *((kind, "bare", f"{LACKS}it has no {', '.join(registry.MEMBERS[kind])}") for kind in KINDS),
        *((kind, "optionless", f"{LACKS}it has no dataclass Options") for kind in KINDS),
        *((kind, "misnamed", f"{LACKS}it calls itself 'other'") for kind in NAMED),
    ],
)
def test_a_plug_in_that_is_broken_is_named_with_its_package_in_one_line(
    kind: str, name: str, why: str, broken: Path
) -> None:
    with pytest.raises(ConfigError) as told:
        registry.plugin(kind, name, "here")
    assert str(told.value) == f"here: {kind} '{name}' of the package 'their-broken' {why}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_package_hurts_no_other(kind: str, broken: Path) -> None:
    assert {"absent", "bare", "loud", *registry.BUILT_IN[kind]} <= set(registry.names(kind))
    for name in built_in(kind):
        assert registry.plugin(kind, name).__module__.startswith("moco.")
    assert registry.plugin("searcher", "good") is RandomSearcher
    assert method_of("sparsity").name == "sparsity"
    assert words_of("filter_pruning", {"keep": 3, "of": 4}) == "3/4"


@pytest.mark.parametrize("kind", registry.MADE)
def test_objects_that_lack_what_their_class_left_to_the_constructor_are_refused(kind: str, broken: Path) -> None:
    lack = f"{LACKS}its objects have no {', '.join(registry.MADE[kind])}$"
    with pytest.raises(ConfigError, match=f"^here: {kind} 'bare' of the package 'their-broken' {lack}"):
        registry.complete(object(), kind, "bare", "here")
    with pytest.raises(ConfigError, match=f"^here: {kind} 'mine' {lack}"):
        registry.complete(SimpleNamespace(**dict.fromkeys(registry.MADE[kind])), kind, "mine", "here")


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_two_packages_have_is_refused_with_both(kind: str, broken: Path) -> None:
    again = broken / "their_twin-1.0.dist-info"
    shutil.copytree(broken / "their_broken-1.0.dist-info", again)
    metadata_of = again / "METADATA"
    metadata_of.write_text(
        metadata_of.read_text(encoding="utf-8").replace("their-broken", "their-twin"), encoding="utf-8"
    )
    with pytest.raises(ConfigError) as told:
        registry.plugin(kind, "bare", "here")
    assert str(told.value) == f"here: 'their-broken' and 'their-twin' each have the {kind} 'bare'; uninstall one"
    assert registry.clash(kind, next(iter(registry.BUILT_IN[kind]))) is None


class Quitter:
    """A plug-in whose constructor ends the program."""

    def __init__(self, *_: object) -> None:
        sys.exit(0)


def of_wrong_signature() -> object:
    return object()


@pytest.mark.parametrize(
    ("cls", "why"),
    [
        (Quitter, "SystemExit: 0"),
        (of_wrong_signature, r"TypeError: of_wrong_signature\(\) takes 0 positional arguments.*"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_plug_in_that_cannot_be_made_is_named_with_its_package(
    kind: str, cls: Any, why: str, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = f"{kind} 'bare' of the package 'their-broken' cannot be made: {why}$"
    with pytest.raises(ConfigError, match=f"^here: {named}"):
        registry.Chosen(kind, "bare", cls, None, "here").made()
    with pytest.raises(ConfigError, match=f"^searcher: {named.replace(kind, 'searcher')}"):
        Strategy("mine", "bare", None, cls).build(WIDE, 0)
    monkeypatch.setattr(cls, "name", "bare", raising=False)
    monkeypatch.setattr(cls, "Options", registry.NoOptions, raising=False)
    with pytest.raises(ConfigError, match=f"^here: {named}"):
        made_of(kind, cls, {}, "here")


def test_what_moco_itself_has_is_made_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        registry.Chosen("target", "onnxruntime", lambda _: 1 / 0, None).made()


def test_ctrl_c_is_nobodys_fault() -> None:
    with pytest.raises(KeyboardInterrupt), registry.blaming("it"):
        raise KeyboardInterrupt


def test_an_error_is_traced_to_the_package_whose_code_was_running(broken: Path) -> None:
    their: Any = type(sys)("their_broken.inner")
    exec("def call(function): return function()", vars(their))
    for raised in (lambda: 1 / 0, sys.exit):
        with pytest.raises(BaseException) as caught:
            their.call(raised)
        assert registry.package_to_blame(caught.value) == "their-broken"
    with pytest.raises(ZeroDivisionError) as own:
        1 / 0  # noqa: B018
    assert registry.package_to_blame(own.value) is None


def test_who_asks_for_what_a_broken_package_may_own_is_told_so(broken: Path) -> None:
    with pytest.raises(
        SpaceError, match=r"groups\.a: unknown setting 'theirs'; .*'absent' of the package 'their-broken'"
    ):
        method_of("theirs", "groups.a")
    assert words_of("their_setting", {"keep": 3, "of": 4}) == "their setting 3/4", (
        "a report is read without the package"
    )
