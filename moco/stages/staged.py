"""An experiment with `stages`: read once, all of it checked before any stage is searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moco.errors import ConfigError, MocoError, nearest
from moco.experiment.loading import STAGES, experiment_of, read_mapping, sections_of, with_overrides
from moco.experiment.schema import Experiment
from moco.stages.contradictions import ATTEMPTS, CERTIFICATE, check_attempts, check_together, refuse_base
from moco.stages.section import StageSection, methods_among, stages_in

POLICY, WEIGHTS = "policy.json", "network.safetensors"
"""Of a delivered network: what a stage begins with."""


@dataclass(frozen=True)
class Stage:
    """A stage; its sections say all of it but what the stages before it find."""

    number: int  # from 1 on
    name: str
    sections: Mapping[str, Any]  # of an experiment of its methods alone, paths absolute
    alone: Experiment  # that experiment

    @property
    def folder(self) -> str:
        """The name of its run folder."""
        return f"stage-{self.number}-{self.name}"

    @property
    def methods(self) -> tuple[str, ...]:
        """Those that it searches."""
        return tuple(self.alone.space.declared)


@dataclass(frozen=True)
class StagedExperiment:
    """An experiment in stages."""

    name: str
    stages: tuple[Stage, ...]
    allow_import: bool = False

    def whole(self, stage: Stage) -> Experiment:
        """The experiment of a stage with the methods of all up to it, nothing of which is fixed yet."""
        return self._made(stage, {})

    def above(self, stage: Stage, base: Path) -> Experiment:
        """The experiment of a stage that begins with the network in `base`, the delivery of the stage before it."""
        return self._made(stage, {"base": str(base / POLICY), "base_weights": str(base / WEIGHTS)})

    def _made(self, stage: Stage, more: Mapping[str, Any]) -> Experiment:
        methods = {
            name: given for one in self.stages[: stage.number] for name, given in one.alone.space.declared.items()
        }
        sections = {**stage.sections, "space": {**stage.sections["space"], **methods, **more}}
        with_where = f"{STAGES}[{stage.number - 1}] ('{stage.name}')"
        return _blamed(with_where, sections, self.allow_import)


def is_staged(path: Path) -> bool:
    """Whether a file is an experiment in stages; a ConfigError where it cannot be read."""
    return STAGES in read_mapping(path)


def staged_experiment(path: Path, overrides: Sequence[str] = (), allow_import: bool = False) -> StagedExperiment:
    """The experiment in stages of a file, checked.

    An override holds in every stage, one of `stages.NAME.key` in the stage of that name alone. A ConfigError says in
    one line what is wrong, and in which stage.
    """
    sections = sections_of(path)
    given = sections.pop(STAGES, None)
    stages = stages_in(given)
    refuse_base(sections.get("space"))
    if misplaced := methods_among(sections.get("space")):
        raise ConfigError(
            f"space.{misplaced[0]}: with `{STAGES}`, methods are declared in the stage that searches them"
        )
    name, of_all, of_one = _apart(overrides, [stage.title for stage in stages])
    name = name or str(sections.get("name", path.stem))
    found = []
    for number, (stage, raw) in enumerate(zip(stages, given or (), strict=True), start=1):
        where, own = f"{STAGES}[{number - 1}] ('{stage.title}')", of_one.get(stage.title, [])
        laid = with_overrides(_laid(sections, raw, name, stage), [*of_all, *own])
        if number < len(stages):
            check_attempts(where, with_overrides({CERTIFICATE: raw.get(CERTIFICATE)}, _of(CERTIFICATE, own)))
            laid = _with_one_attempt(laid)
        found.append(Stage(number, stage.title, laid, _blamed(where, laid, allow_import)))
    check_together([(stage.name, stage.alone) for stage in found])
    staged = StagedExperiment(name, tuple(found), allow_import)
    for one in staged.stages:
        staged.whole(one)
    return staged


def _apart(overrides: Sequence[str], titles: Sequence[str]) -> tuple[str | None, list[str], dict[str, list[str]]]:
    """The name that overrides give, those of all stages, and those of one, by its name."""
    name, of_all, of_one = None, [], dict[str, list[str]]()
    for override in overrides:
        key, _, value = override.partition("=")
        first, _, rest = key.strip().partition(".")
        if first == "name" and not rest:
            name = value.strip()
        elif first != STAGES:
            of_all.append(override)
        else:
            title, _, inner = rest.partition(".")
            if title not in titles or not inner:
                expected = f"--set {override}: expected {STAGES}.NAME.key=value, NAME a stage's"
                raise ConfigError(f"{expected}{nearest(title, titles)}")
            of_one.setdefault(title, []).append(f"{inner}={value}")
    return name, of_all, of_one


def _of(section: str, overrides: Sequence[str]) -> list[str]:
    """The overrides of a section, or within it."""
    return [one for one in overrides if one.partition("=")[0].strip().partition(".")[0] == section]


def _with_one_attempt(laid: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a stage that others follow: see `check_attempts`."""
    given = laid.get(CERTIFICATE)
    if given is not None and not isinstance(given, Mapping):
        return dict(laid)  # the schema says what is wrong with it
    return {**laid, CERTIFICATE: {**(given or {}), ATTEMPTS: 1}}


def _laid(sections: Mapping[str, Any], raw: Mapping[str, Any], name: str, stage: StageSection) -> dict[str, Any]:
    """The stage's sections in the place of the experiment's; its space is the experiment's with its methods added."""
    own = {key: value for key, value in raw.items() if key != "name" and value is not None}
    common = sections.get("space", {})
    if not isinstance(common, Mapping):
        raise ConfigError(f"space: expected a mapping, got {common!r}")
    return {**sections, **own, "space": {**common, **raw["space"]}, "name": f"{name}.{stage.title}"[:100]}


def _blamed(where: str, sections: Mapping[str, Any], allow_import: bool) -> Experiment:
    """The experiment; what is wrong with it is told of that stage."""
    try:
        return experiment_of(sections, allow_import)
    except MocoError as error:
        error.args = (f"{where}: {error}",)
        raise
