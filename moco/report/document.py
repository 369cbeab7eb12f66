"""A whole page, complete in itself, and the figures in it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib import resources
from string import Template

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from moco.report.markup import Html, element, join, listed, section

COMPLETE = "This page is complete in itself and fetches nothing."


def document(title: str, header: Html, main: Html, made_by: str | None = "Made by moco") -> str:
    """The page, with styles, figures and the plotting library inside: nothing is fetched.

    Args:
        title: of the window.
        made_by: how the footer begins; None leaves it out.
    """
    footer = Html("") if made_by is None else element("footer", element("p", f"{made_by}. {COMPLETE}"))
    return Template(_resource("page.html")).substitute(
        title=escape(title), style=_resource("style.css"), body=join([header, main, footer]), plotly=get_plotlyjs()
    )


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
