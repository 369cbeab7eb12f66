"""A suite: what a contract says, one method a statement, put to one plug-in."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from moco import registry

Statement = TypeVar("Statement", bound=Callable[..., None])


def cases(of: Callable[[Any], Iterable[Any]]) -> Callable[[Statement], Statement]:
    """Makes a statement be checked once for each of these; `of` is given the suite."""

    def marked(statement: Statement) -> Statement:
        statement.__dict__["cases"] = of
        return statement

    return marked


@dataclasses.dataclass(frozen=True)
class Check:
    """One statement of a contract about one plug-in; calling it raises where it does not hold."""

    suite: Suite
    statement: str
    case: tuple[Any, ...] = ()

    @property
    def __name__(self) -> str:
        """What pytest calls it."""
        return "-".join([self.statement.removeprefix("check_"), *map(str, self.case)])

    def __call__(self) -> None:
        """Check it; an error also says whose contract is broken, and what of it."""
        try:
            getattr(self.suite, self.statement)(*self.case)
        except Exception as error:
            said = self.statement.removeprefix("check_").replace("_", " ")
            error.add_note(f"the contract of {self.suite.kind} '{self.suite.name}' does not hold: {said}")
            raise


class Suite:
    """The statements of a kind; each subclass has those of its own as methods that begin with `check_`."""

    kind: ClassVar[str]

    def __init__(self, plugin: str | type[Any], options: Mapping[str, Any] | None = None) -> None:
        """Take a registered name, or a class; the options are those that it is tested with."""
        self.plugin: Any = registry.plugin(self.kind, plugin) if isinstance(plugin, str) else plugin
        self.name = plugin if isinstance(plugin, str) else str(getattr(plugin, "name", plugin.__name__))
        self.given = dict(options or {})
        self.options: Any = self.plugin.Options(**self.given)

    def make(self) -> Any:
        """The plug-in, made of its options alone."""
        return self.plugin(self.options)

    @cached_property
    def folder(self) -> Path:
        """An empty folder that goes away with the suite."""
        folder = tempfile.mkdtemp(prefix="moco-testing-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def checks(self) -> Iterator[Check]:
        """All statements, those of every case."""
        for cls in reversed(type(self).__mro__):
            for name in [name for name in vars(cls) if name.startswith("check_")]:
                of = getattr(vars(cls)[name], "cases", None)
                yield from [Check(self, name)] if of is None else [Check(self, name, (case,)) for case in of(self)]

    def check_it_has_what_its_kind_asks_for(self) -> None:
        assert registry.lacking(self.plugin, self.kind, self.name) is None
        assert self.plugin.Options.__dataclass_params__.frozen
        registry.complete(self.make(), self.kind, self.name)


@contextmanager
def raises_in_one_line(error: type[Exception], *words: str) -> Iterator[None]:
    """Passes where the block raises that error, in one line that has these words."""
    said = None
    try:
        yield
    except error as raised:
        said = str(raised)
    assert said is not None, f"expected a {error.__name__}, got none"
    assert "\n" not in said
    assert [word for word in words if word not in said] == [], said
