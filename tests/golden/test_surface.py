"""What scripts rely on: commands and options, YAML keys, exit codes, published names, plug-in names, entry points."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

import moco as library
from moco import registry
from moco.app.cli import app
from moco.experiment.loading import Experiment
from moco.optional import installed
from moco.registry import written_options
from tests.golden.experiment import experiment, moco
from tests.golden.records import differences, read

KINDS = ("searcher", "objective", "target")
FUNCTIONS = ("search", "optimize", "compress", "compare", "load_network")
ROOT = Path(__file__).resolve().parents[2]
CASES: dict[str, tuple[str, ...]] = {
    "no command": ("serach",),
    "no file": ("search", "nothing.yaml"),
    "unknown option": ("search", "{yaml}", "--resum"),
    "unknown key": ("search", "{yaml}", "--allow-import", "--set", "budget.trails=3"),
    "import not allowed": ("search", "{yaml}",),
    "nothing to resume": ("search", "{yaml}", "--allow-import", "--out", "{run}", "--resume"),
    "no run folder": ("report", "{run}"),
    "no policy": ("apply", "{yaml}", "--allow-import", "--policy", "nothing.json", "--out", "{run}"),
    "infeasible": (
        "search", "{yaml}", "--allow-import", "--out", "{run}", "--set", "budget.trials=2",
        "--set", "objective={{protocol: resource-constrained, constraints: {{size_mb: <= 0.1x}}}}",
    ),
    "done": ("search", "{yaml}", "--allow-import", "--out", "{run}", "--set", "budget.trials=1"),
}  # fmt: skip


def commands() -> dict[str, dict[str, str]]:
    """By command all its arguments and options."""
    group = typer.main.get_command(app)
    return {
        name: {option: "" for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for name, command in group.commands.items()  # type: ignore[attr-defined]
    }


def keys(model: type[BaseModel]) -> dict[str, Any]:
    """The YAML keys of a section, and of those within it; with the default of each."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        inner = [part for part in _parts(field.annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
        sections = {key: value for part in inner for key, value in keys(part).items()}
        default = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
        found[field.alias or name] = sections or ("is required" if field.is_required() else str(default))
    return found


def _parts(annotation: Any) -> list[Any]:
    return [annotation, *(part for one in getattr(annotation, "__args__", ()) for part in _parts(one))]


def signature(name: str) -> dict[str, str]:
    """The parameters of a published function, with their kinds and defaults."""
    return {
        parameter.name: f"{parameter.kind.description}, default {parameter.default!r}"
        if parameter.default is not inspect.Parameter.empty
        else parameter.kind.description
        for parameter in inspect.signature(getattr(library, name)).parameters.values()
    }


def options() -> dict[str, Any]:
    """By plug-in the names and defaults of its options: keys of the YAML as well."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        for name in sorted(registry.BUILT_IN[kind]):
            if name in {"tensorrt", "tvm"} and not installed(name):
                continue  # a machine for development has none of the two
            if name == "litert" and not installed("ai_edge_litert"):  # its options can be seen where it is installed
                continue
            fields = inspect.signature(registry.plugin(kind, name).Options).parameters.values()
            found[f"{kind} {name}"] = {
                field.name: "is required" if field.default is inspect.Parameter.empty else repr(field.default)
                for field in fields
            }
    return found


def yaml_keys() -> dict[str, Any]:
    """The keys of an experiment; in `space` also the methods with their options, in `target` the runtime's."""
    found = keys(Experiment)
    for name in sorted(registry.BUILT_IN["method"]):
        found["space"][name] = {key: str(value) for key, value in defaults("method", name).items()}
    found["target"] |= {key: str(value) for key, value in defaults("target", found["target"]["runtime"]).items()}
    return found


def defaults(kind: str, name: str) -> dict[str, Any]:
    """By option its default."""
    return written_options(registry.plugin(kind, name).Options())


def made(_: Path) -> dict[str, Any]:
    """All but the exit codes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "commands": commands(),
        "keys": yaml_keys(),
        "names": dict.fromkeys(sorted(library.__all__), ""),
        "signatures": {name: signature(name) for name in FUNCTIONS},
        "registry": {kind: sorted(registry.BUILT_IN[kind]) for kind in KINDS},
        "options": options(),
        "entry_points": [f"moco.{kind}" for kind in KINDS],
        "scripts": project["scripts"],
    }


def made_codes(folder: Path) -> dict[str, int]:
    """The exit codes of the cases."""
    return {name: code_of(name, folder / name.replace(" ", "_")) for name in CASES}


def code_of(case: str, folder: Path) -> int:
    """The exit code of a case."""
    given = {"yaml": str(experiment(folder)), "run": str(folder / "run")}
    return moco(*(argument.format(**given) for argument in CASES[case])).exit_code


def by_name(registered: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """Names by kind as mappings, of which one with more is none that has changed."""
    return {kind: dict.fromkeys(names, "registered") for kind, names in registered.items()}


@pytest.mark.parametrize("part", ["commands", "keys", "names", "signatures", "registry", "options"])
def test_what_was_there_is_there(part: str) -> None:
    """More may have come; nothing may be gone, renamed or have another default."""
    before, now = read("surface")[part], made(Path())[part]
    lines = differences(by_name(before), by_name(now)) if part == "registry" else differences(before, now)
    assert [line for line in lines if not line.endswith("is new")] == []


@pytest.mark.parametrize("case", CASES)
def test_the_exit_code_is_what_it_was(case: str, tmp_path: Path) -> None:
    assert code_of(case, tmp_path / "case") == read("exit_codes")[case]


def test_plug_ins_of_others_are_found_in_the_same_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def entry_points(**given: str) -> list[Any]:
        asked.append(given["group"])
        return []

    monkeypatch.setattr(registry, "entry_points", entry_points)
    for kind in KINDS:
        registry.names(kind)
    assert asked == read("surface")["entry_points"]
