from __future__ import annotations

import pytest

from benchmarks.page import PAGE, replaced


def test_content_goes_between_its_marks_and_replaces_what_stood_there() -> None:
    page = "# Title\n<!-- a -->\nold\n<!-- /a -->\ntext\n<!-- b -->\n<!-- /b -->\n"
    once = replaced(page, "a", "| new |\n")
    assert once == "# Title\n<!-- a -->\n\n| new |\n\n<!-- /a -->\ntext\n<!-- b -->\n<!-- /b -->\n"
    assert replaced(once, "a", "| new |\n") == once


def test_a_failed_benchmark_leaves_the_page_as_it_is() -> None:
    with pytest.raises(SystemExit, match="nothing came in"):
        replaced("<!-- a -->\n<!-- /a -->", "a", "\n")


def test_an_unknown_mark_is_refused() -> None:
    with pytest.raises(SystemExit, match="expected <!-- c -->"):
        replaced("<!-- a -->\n<!-- /a -->", "c", "| new |")


@pytest.mark.parametrize(
    "name",
    ["known", "known-tpe", "known-slow", "known-100", "agents", "learning", "learning-real", "recorded", "wrapped"],
)
def test_the_page_has_the_marks_that_make_bench_fills(name: str) -> None:
    assert "| x |" in replaced(PAGE.read_text(encoding="utf-8"), name, "| x |")
