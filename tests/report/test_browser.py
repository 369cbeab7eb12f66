"""The page in a real browser: every figure is drawn, with no name resolved and nothing fetched."""

from __future__ import annotations

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from moco.report.page import write_report
from tests.report.example_run import write_example

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--virtual-time-budget=10000",
)
N_FIGURES = 8

pytestmark = pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is installed")


class Drawn(HTMLParser):
    """Counts of what the browser drew, by CSS class, and the widths of the page and its content."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.plots: dict[str, int] = {}
        self.points = self.bars = 0
        self._plot = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        classes = (given.get("class") or "").split()
        if "js-plotly-plot" in classes:
            self._plot = str(given["id"])
            self.plots[self._plot] = 0
        if tag == "svg" and "main-svg" in classes:
            self.plots[self._plot] += 1
        self.points += tag == "path" and "point" in classes
        self.bars += tag == "g" and "point" in classes


def dom(page: Path, profile: Path, *flags: str) -> str:
    """The page's elements after its scripts have run."""
    command = [str(BROWSER), *FLAGS, *flags, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(write_example(tmp_path_factory.mktemp("run")))


@pytest.mark.slow
def test_every_figure_is_drawn_without_a_network(report: Path, tmp_path: Path) -> None:
    drawn = Drawn(dom(report, tmp_path / "profile"))
    assert len(drawn.plots) == N_FIGURES
    assert all(count >= 1 for count in drawn.plots.values())
    assert drawn.points > 100  # four pictures of the front with 30 trials each, less the duplicates
    assert drawn.bars > 40  # 2 x 20 layers and the stages


def on_a_phone(page: Path, folder: Path) -> dict[str, Any]:
    """What a browser 390 pixels wide makes of the page; files go to the folder."""
    probe = """
      <body><iframe id="phone" style="width:390px;height:800px;border:0" srcdoc=""></iframe><pre id="found"></pre>
      <script>
        var phone = document.getElementById("phone");
        phone.onload = function () { setTimeout(function () {
          var inner = phone.contentWindow;
          document.getElementById("found").textContent = JSON.stringify({
            fetched: inner.performance.getEntriesByType("resource").map(function (entry) { return entry.name; }),
            plots: inner.document.querySelectorAll(".main-svg").length,
            wide: inner.document.documentElement.scrollWidth,
            phone: inner.document.documentElement.clientWidth});
        }, 1500); };
        phone.srcdoc = PAGE;
      </script></body>"""
    text = json.dumps(page.read_text(encoding="utf-8")).replace("</", "<\\/").replace("<!--", "<\\u0021--")
    wrapper = folder / "phone.html"
    wrapper.write_text(probe.replace("PAGE", text), encoding="utf-8")
    found: dict[str, Any] = json.loads(dom(wrapper, folder / "profile").split('<pre id="found">')[1].split("</pre>")[0])
    return found


@pytest.mark.slow
def test_nothing_is_fetched_and_nothing_is_wider_than_a_phone(report: Path, tmp_path: Path) -> None:
    found = on_a_phone(report, tmp_path)
    assert found["fetched"] == []
    assert found["plots"] >= N_FIGURES
    assert found["wide"] <= found["phone"] <= 390
