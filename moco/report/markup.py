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


def section(name: str, title: str, *parts: Html) -> Html:
    """A section of a page under its title; `name` is its anchor."""
    return element("section", element("h2", title), *parts, id=name)


def note(text: str) -> Html:
    """A remark below what it is about; nothing without a text."""
    return element("p", text, class_="note") if text else Html("")


def code(text: str) -> Html:
    """Lines of code."""
    return element("pre", element("code", text))


def details(summary: str, *parts: Html) -> Html:
    """What is folded away under a line."""
    return element("details", element("summary", summary), *parts)


def listed(items: Iterable[str]) -> Html:
    """A list with a bullet an item."""
    return element("ul", join(element("li", item) for item in items))


def row(first: str, *others: str, class_: str | None = None) -> Html:
    """A row of a table: its head and its cells."""
    return element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in others), class_=class_)


def _attribute(name: str, value: str | bool | None) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(value)}"'
