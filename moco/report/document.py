"""HTML as values, and a whole page of them, complete in itself, with its figures.

Text is escaped when an element is built, so nothing from a run can become markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from moco.run_folder.writing import write_text

COMPLETE = "This page is complete in itself and fetches nothing."


class Html(str):
    """A piece of finished HTML; every other string is text and is escaped."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | bool | None) -> Html:
    """`<tag attributes>children</tag>`; a trailing underscore of an attribute's name is dropped (`class_`).

    Children that are no `Html` are escaped; True writes an attribute's bare name, False and None leave it out.
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


def details(summary: str, *parts: Html, class_: str | None = None) -> Html:
    """What is folded away under a line; on paper it is unfolded, but for the class `on-screen`, which is left out."""
    return element("details", element("summary", summary), *parts, class_=class_)


def listed(items: Iterable[str]) -> Html:
    """A list with a bullet an item."""
    return element("ul", join(element("li", item) for item in items))


def row(first: str, *others: str, class_: str | None = None) -> Html:
    """A row of a table: its head and its cells."""
    return element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in others), class_=class_)


def document(title: str, header: Html, main: Html, made_by: str | None = "Made by moco") -> str:
    """The page, with styles, figures and the plotting library inside; its footer begins with `made_by`, if with any."""
    footer = Html("") if made_by is None else element("footer", element("p", f"{made_by}. {COMPLETE}"))
    return Template(_resource("page.html")).substitute(
        title=escape(title), style=_resource("style.css"), body=join([header, main, footer]), plotly=get_plotlyjs()
    )


def written(path: Path, page: str) -> Path:
    """The path of a page, written whole; a RunFolderError where it cannot be."""
    write_text(path, page)
    return path


def plot(name: str, caption: str, figure: go.Figure, first: bool = False) -> Html:
    """A figure with its caption, drawn by the page's script; the first of several may be larger."""
    # "<" would end the script early in a text that holds "</script"
    data = Html(figure.to_json().replace("<", "\\u003c"))
    return element(
        "figure",
        element("figcaption", caption) if caption else Html(""),
        element("div", class_="plot", id=name, style=f"--height: {figure.layout.height}px"),
        element("script", data, type="application/json", id=f"{name}-data"),
        class_="first" if first else None,
    )


def plots(figures: Iterable[Html]) -> Html:
    """Figures side by side; three in a row where two would leave the last one alone under the first, wide one."""
    figures = list(figures)
    return element("div", *figures, class_="figures three" if len(figures) % 3 == 1 else "figures")


def warnings_section(warnings: Iterable[str]) -> Html:
    """What should be doubted; nothing where nothing was noticed."""
    texts = list(warnings)
    return section("warnings", "Warnings", element("div", listed(texts), class_="warnings")) if texts else Html("")


def _resource(name: str) -> str:
    return resources.files("moco.report").joinpath(name).read_text(encoding="utf-8")


def _attribute(name: str, value: str | bool | None) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(value)}"'
