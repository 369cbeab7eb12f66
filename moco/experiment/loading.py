"""Experiments from YAML: read safely, checked key by key, nothing evaluated."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from moco.compression.methods.method import Method
from moco.errors import ConfigError, SpaceError, nearest
from moco.experiment.explain import explain, joined, refuse_unknown_keys, refuse_what_is_not_plain
from moco.experiment.schema import Experiment
from moco.models.zoo import is_published
from moco.registry import OptionOfKind, plugin, written_options

__all__ = [
    "Experiment",
    "experiment_of",
    "load_experiment",
    "methods_of",
    "objective_options",
    "options_of",
    "resolved",
    "searcher_options",
    "target_options",
]

PATHS = (
    ("model", "weights"),
    ("data", "train"),
    ("data", "test"),
    ("data", "root"),
    ("space", "sensitivity"),
    ("store",),
    ("folder",),
)
"""Keys whose text is a path: in the file relative to the file, on the command line to the current folder."""

Options = TypeVar("Options")


def load_experiment(path: Path | str, overrides: Sequence[str] = (), allow_import: bool = False) -> Experiment:
    """The experiment that the file describes.

    Args:
        path: the YAML file; its stem is the default name.
        overrides: `a.b=value`, each value read as YAML.
        allow_import: whether it may name code of the user's to import.

    Raises:
        ConfigError: in one line, what is wrong and where.
    """
    path = Path(path)
    data = _absolute(_read(path), path.parent)
    for override in overrides:
        data = _overridden(data, override)
    defaults = {"name": path.stem}
    if _imports(data):
        defaults["folder"] = _against(path.parent, "")
    return experiment_of({**defaults, **_absolute(data, Path.cwd())}, allow_import)


def experiment_of(data: Mapping[str, Any], allow_import: bool = False) -> Experiment:
    """The experiment of a mapping shaped like the YAML, the options of its plug-ins checked too.

    Raises:
        ConfigError: in one line, what is wrong and where.
    """
    refuse_what_is_not_plain(data)
    refuse_unknown_keys(Experiment, data)
    try:
        experiment = Experiment.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise explain(error, data) from None
    for key_path, named in _imports(data).items():
        if not allow_import:
            raise ConfigError(f"{key_path}: '{named}' runs code that the experiment names; allow it by --allow-import")
    for check in (methods_of, objective_options, searcher_options, target_options, _check_starts):
        check(experiment)
    return experiment


def _check_starts(experiment: Experiment) -> None:
    """Pass starts whose source is there.

    Raises:
        ConfigError: a sensitivity analysis or an evaluation store that is not.
    """
    sources = [start if isinstance(start, str) else start.source for start in experiment.searcher.starts]
    if "sensitivity" in sources and experiment.space.sensitivity is None:
        raise ConfigError("searcher.start: 'sensitivity' needs space.sensitivity, what `moco sensitivity` has written")
    if "store" in sources and experiment.store is False:
        raise ConfigError("searcher.start: 'store' needs the evaluation store, which `store: false` switches off")


def resolved(experiment: Experiment) -> dict[str, Any]:
    """The experiment with every default spelled out: the content of RUN/experiment.yaml, which can be loaded again."""
    data = experiment.model_dump(mode="json", by_alias=True, exclude_none=True)
    for section, options in (
        ("objective", objective_options(experiment)),
        ("searcher", searcher_options(experiment)),
        ("target", target_options(experiment)),
    ):
        data[section] |= json.loads(json.dumps(_without_none(dataclasses.asdict(options))))
    runtime, *others = data["target"].items()
    first = [field.name for field in dataclasses.fields(target_options(experiment))][:1]
    leading = [(name, data["target"][name]) for name in first if name in data["target"]]
    data["target"] = dict([runtime, *leading, *others])  # the order that run folders have always had
    methods = {
        method.name: json.loads(json.dumps(written_options(method.options))) for method in methods_of(experiment)
    }
    data["space"] = _with_methods({k: v for k, v in data["space"].items() if k not in methods}, methods)
    return data


def _with_methods(space: Mapping[str, Any], methods: Mapping[str, Any]) -> dict[str, Any]:
    """The section `space` with the methods where they are usually written: after what says which layers."""
    first = [key for key in ("groups", "ignore", "channel_multiple") if key in space]
    return {**{key: space[key] for key in first}, **methods, **space}


def methods_of(experiment: Experiment) -> list[Method]:
    """The methods that the section `space` declares, with their options."""
    return [built("method", name, given, f"space.{name}") for name, given in experiment.space.declared.items()]


def objective_options(experiment: Experiment) -> Any:
    """The options of the protocol, an instance of its `Options`."""
    section = experiment.objective
    return options_of(plugin("objective", section.protocol, "objective.protocol").Options, section.further, "objective")


def searcher_options(experiment: Experiment) -> Any:
    """The options of the searcher, an instance of its `Options`."""
    section = experiment.searcher
    return options_of(plugin("searcher", section.name, "searcher.name").Options, section.further, "searcher")


def target_options(experiment: Experiment) -> Any:
    """The options of the runtime, an instance of its `Options`."""
    section = experiment.target
    options = options_of(plugin("target", section.runtime, "target.runtime").Options, section.further, "target")
    for choice in getattr(options, "counters", None) or ():
        _check_counter(choice)
    return options


def _check_counter(choice: str | Mapping[str, Any]) -> None:
    """Pass a counter's name, or a mapping of its name and its options.

    Raises:
        ConfigError: there is no such counter, or it has no such option.
    """
    given = {"name": choice} if isinstance(choice, str) else dict(choice)
    name = given.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(f"target.counters: expected a counter's name or {{name: …, option: …}}, got {choice!r}")
    options_of(plugin("counter", name, "target.counters").Options, given, f"target.counters.{name}")


def built(kind: str, name: str, given: object, where: str) -> Any:
    """A plug-in that is made of its options alone.

    Raises:
        ConfigError: there is none of this name, or its options are not valid.
    """
    cls = plugin(kind, name, where)
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}: expected a mapping, got {given!r}")
    try:
        return cls(options_of(cls.Options, given, where))
    except SpaceError as error:
        raise ConfigError(str(error)) from error


def options_of(cls: type[Options], values: Mapping[str, Any], where: str) -> Options:
    """A plug-in's options dataclass of plain values.

    Args:
        cls: a dataclass; the types of its fields are checked, nothing is converted but lists to tuples.
        values: by field name, as YAML gives them.
        where: key path of the section.

    Raises:
        ConfigError: an unknown or missing key, a value of another type, or one that the dataclass itself refuses.
    """
    refuse_what_is_not_plain(values, where)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            raise ConfigError(
                f"{where}.{name}: unknown key{nearest(name, fields) if fields else '; it takes no options'}"
            )
    for name, field in fields.items():
        if name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}.{name}: is missing")
    hints = get_type_hints(cls, include_extras=True)
    try:
        return cls(**{name: _typed(hints[name], value, joined(where, name)) for name, value in values.items()})
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _typed(hint: Any, value: object, where: str) -> Any:
    for mark in getattr(hint, "__metadata__", ()):
        if isinstance(mark, OptionOfKind):
            return _named(mark.kind, value, where)
    adapter: TypeAdapter[Any] = TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))
    try:
        return adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        raise explain(error, value, where) from None


def _named(kind: str, value: object, where: str) -> Any:
    """A plug-in by its name alone, or as {name: …} with its options beside the name."""
    given = {"name": value} if isinstance(value, str) else value
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ConfigError(f"{where}: expected the name of a {kind}, or {{name: …}} with its options, got {value!r}")
    return built(kind, given["name"], {key: option for key, option in given.items() if key != "name"}, where)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    data = _yaml(text, str(path))
    if not isinstance(data, dict):
        came = "an empty file" if data is None else f"a {type(data).__name__}"
        raise ConfigError(f"{path}: expected a mapping with 'model', 'data', 'space' and 'objective', got {came}")
    return data


def _yaml(text: str, where: str) -> Any:
    try:
        _refuse_repeated_keys(yaml.compose(text, Loader=yaml.SafeLoader), where)
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise ConfigError(f"{where}{line}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from None


def _refuse_repeated_keys(node: yaml.Node | None, where: str) -> None:
    """A key that stands twice would silently win over the first."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(item, where)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise ConfigError(
                    f"{where}, line {line}: the key '{key.value}' stands in line {seen[key.value]} already"
                )
            if isinstance(key, yaml.ScalarNode):
                seen[key.value] = line
            _refuse_repeated_keys(value, where)


def _overridden(data: dict[str, Any], override: str) -> dict[str, Any]:
    """A copy with the one value changed."""
    key_path, equals, text = override.partition("=")
    keys = key_path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {override}: expected key=value with dots between keys, such as budget.trials=20")
    return _changed(data, keys, _yaml(text, f"--set {override}"), override)


def _changed(data: object, keys: Sequence[str], value: object, override: str) -> dict[str, Any]:
    if data is not None and not isinstance(data, Mapping):
        raise ConfigError(f"--set {override}: '{keys[0]}' lies within {data!r}, which is not a mapping")
    inner = dict(data or {})
    inner[keys[0]] = value if len(keys) == 1 else _changed(inner.get(keys[0]), keys[1:], value, override)
    return inner


def _absolute(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A copy whose paths are absolute; those that are already stay as they are."""
    changed = dict(data)
    for section, *rest in PATHS:
        holder = changed.get(section)
        if not rest and isinstance(holder, str):
            changed[section] = _against(folder, holder)
        elif rest and isinstance(holder, dict) and isinstance(path := holder.get(rest[0]), str):
            published = section == "model" and is_published(path)
            changed[section] = {**holder, rest[0]: path if published else _against(folder, path)}
    searcher = changed.get("searcher")
    if isinstance(searcher, dict) and "start" in searcher:
        changed["searcher"] = {**searcher, "start": _absolute_starts(searcher["start"], folder)}
    return changed


def _absolute_starts(start: Any, folder: Path) -> Any:
    """The starts with their policies' paths made absolute; whatever is no such path stays as it is."""
    if isinstance(start, list):
        return [_absolute_starts(one, folder) for one in start]
    if not isinstance(start, dict) or "policies" not in start:
        return start
    paths = start["policies"]
    if isinstance(paths, list):
        paths = [_against(folder, path) if isinstance(path, str) else path for path in paths]
    return {**start, "policies": _against(folder, paths) if isinstance(paths, str) else paths}


def _against(folder: Path, path: str) -> str:
    return os.path.normpath(Path.cwd() / folder / Path(path).expanduser())


def _imports(data: Mapping[str, Any]) -> dict[str, object]:
    """Import paths by key path."""
    found = {}
    for section in ("model", "data"):
        holder = data.get(section)
        if isinstance(holder, Mapping) and holder.get("import") is not None:
            found[f"{section}.import"] = holder["import"]
    steps = data.get("recovery")
    for step in steps if isinstance(steps, Sequence) and not isinstance(steps, str) else ():
        for name, options in step.items() if isinstance(step, Mapping) else ():
            if isinstance(options, Mapping) and options.get("import") is not None:
                found[f"recovery.{step.get('name', name)}.import"] = options["import"]
    return found


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
