"""An experiment with every default spelled out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from moco.experiment.schema import Experiment
from moco.registry import written_options


def resolved(experiment: Experiment) -> dict[str, Any]:
    """The experiment with every default spelled out: the content of RUN/experiment.yaml, which can be loaded again."""
    data, plugins = experiment.model_dump(mode="json", by_alias=True, exclude_none=True), experiment.plugins
    for section in ("objective", "searcher", "target"):
        given = dataclasses.asdict(getattr(plugins, section).options).items()
        data[section] |= _plain({name: value for name, value in given if value is not None})
    runtime, *others = data["target"].items()
    first = [field.name for field in dataclasses.fields(plugins.target.options)][:1]
    leading = [(name, data["target"][name]) for name in first if name in data["target"]]
    data["target"] = dict([runtime, *leading, *others])  # the order that run folders have always had
    methods = {method.name: _plain(written_options(method.options)) for method in plugins.methods}
    data["space"] = _with_methods({k: v for k, v in data["space"].items() if k not in methods}, methods)
    return data


def _with_methods(space: Mapping[str, Any], methods: Mapping[str, Any]) -> dict[str, Any]:
    """The section `space` with the methods where they are usually written: after what says which layers."""
    first = [key for key in ("groups", "ignore", "channel_multiple") if key in space]
    return {**{key: space[key] for key in first}, **methods, **space}


def _plain(values: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(values))
