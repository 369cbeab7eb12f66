"""HTML as values: text is escaped when an element is built, so nothing from a run can become markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


class Html(str):
    """A piece of finished HTML; every other string is text and is escaped."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | bool | None) -> Html:
    """`<tag attributes>children</tag>`; a trailing underscore of an attribute's name is dropped (`class_`).

    Args:
        tag: name of the element.
        children: `Html` is taken as it is, other strings are escaped.
        attributes: True writes the bare name, False and None leave it out.
    """
    opened = "".join(_attribute(name, value) for name, value in attributes.items())
    return Html(f"<{tag}{opened}>{join(children)}</{tag}>")


def join(children: Iterable[str]) -> Html:
    """The children one after the other, text escaped."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children))


def _attribute(name: str, value: str | bool | None) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(value)}"'
