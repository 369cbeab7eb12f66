"""The page of a comparison in a real browser: every figure is drawn, nothing is fetched, a phone is wide enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from moco.report.comparison.page import compare_page
from tests.report.comparison.example_comparison import GAINS, example
from tests.report.test_browser import BROWSER, Drawn, dom, on_a_phone

pytestmark = pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is installed")
MANY = {**GAINS, **{f"another-strategy-{number}": number / 50 for number in range(8)}}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "compare.html"
    path.write_text(compare_page(example(MANY, seeds=4)), encoding="utf-8")
    return path


@pytest.mark.slow
def test_all_five_figures_are_drawn(page: Path, tmp_path: Path) -> None:
    drawn = Drawn(dom(page, tmp_path / "profile"))
    assert len(drawn.plots) == 5
    assert all(count >= 1 for count in drawn.plots.values())


@pytest.mark.slow
def test_eleven_strategies_fit_a_phone_and_nothing_is_fetched(page: Path, tmp_path: Path) -> None:
    found = on_a_phone(page, tmp_path)
    assert found["fetched"] == []
    assert found["plots"] >= 4
    assert found["wide"] <= found["phone"] <= 390
