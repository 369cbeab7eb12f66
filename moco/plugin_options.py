"""Plug-ins that are made of their options alone, and how they are written down."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar


@dataclass(frozen=True)
class NoOptions:
    """The options of a plug-in that takes none."""


@dataclass(frozen=True)
class NamedPlugin:
    """A plug-in that is registered by its name and made of its options; without options it has the usual ones.

    Attributes:
        options: an instance of `Options`, a frozen dataclass whose fields all have defaults.
    """

    options: Any = None

    name: ClassVar[str]
    Options: ClassVar[type[Any]] = NoOptions

    def __post_init__(self) -> None:
        """Take the usual options where none are given."""
        if self.options is None:
            object.__setattr__(self, "options", self.Options())

    @property
    def written(self) -> str | dict[str, Any]:
        """Its name alone where its options are the usual ones, else {name: …, option: value}."""
        return self.name if self.options == self.Options() else {"name": self.name, **written_options(self.options)}


@dataclass(frozen=True)
class OptionOfKind:
    """Marks an option, in `Annotated`, that names a plug-in of a kind: `l1`, or `{name: l1, option: value}`."""

    kind: str


@dataclass(frozen=True)
class Chosen:
    """A plug-in that was chosen by its name, with its options checked.

    Attributes:
        options: an instance of the class's `Options`.
    """

    name: str
    cls: Any
    options: Any

    def made(self) -> Any:
        """The plug-in, made of its options."""
        return self.cls(self.options)


def written_options(options: Any) -> dict[str, Any]:
    """Options by field, as they stand in YAML; plug-ins among them by their name."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    return {name: value.written if isinstance(value, NamedPlugin) else value for name, value in values.items()}
