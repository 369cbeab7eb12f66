"""F1.GAP: S1's choice on few images, the gap to others, and its figure."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from moco.compression.policy_settings import NEUTRAL
from moco.reproduction.cards.few_images import CARD, FLOOR, Pool
from moco.reproduction.cards.gap_figure import BROKEN, HOLDS, gap_figure
from moco.reproduction.raw import Raw, RawRow, Reading
from moco.reproduction.reproduce import Request, reproduced
from moco.reproduction.store import write_raw

N = 100


def pool(lost: list[tuple[int, int]], cost: list[float]) -> Pool:
    """Networks that lose so many of the first 50 images and of the last 50; the whole one loses none."""
    right = np.ones((len(lost) + 1, N), dtype=bool)
    for place, (first, last) in enumerate(lost, start=1):
        right[place, :first] = False
        right[place, 50 : 50 + last] = False
    return Pool([NEUTRAL] * (len(lost) + 1), right, np.array([1.0, *cost]))


def test_the_cheapest_that_keeps_the_floor_on_the_chosen_images_comes_first() -> None:
    found = pool([(5, 30), (6, 0), (0, 0)], [0.5, 0.3, 0.8])
    first = np.arange(50)

    assert found.order(first) == [1, 3, 0], "the cheapest one loses 12 points there, the next one 10"
    assert found.change(first)[1] == pytest.approx(FLOOR)
    assert found.change(np.arange(50, N))[1] == pytest.approx(-0.6), "and 60 on the others"


def test_a_network_that_costs_more_than_the_whole_one_comes_after_it() -> None:
    assert pool([(0, 0)], [1.2]).order(np.arange(50)) == [0, 1]


def row(chosen: float, others: float, certified: float) -> RawRow:
    """A row of the card with these changes."""
    values = {"chosen_on_pp": chosen, "others_pp": others, "certified_pp": certified, "delivered_pp": 0.0}
    values |= {"unseen_pp": others, "cost": 0.5, "delivered_cost": 1.0}
    return RawRow(name="FP, of <all>", network="n", values={name: Reading(value=v) for name, v in values.items()})


def test_the_figure_says_of_each_choice_whether_it_is_refused() -> None:
    raws = [
        Raw(card=CARD.id, scale="small", seed=n, rows=(row(-9.0, -43.0, bound),))
        for n, bound in enumerate((-46.0, -9.5))
    ]

    svg = gap_figure(raws)

    root = ET.fromstring(svg)
    texts = ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert (texts.count("✕ refused"), texts.count("✓ holds")) == (1, 1), "one seed's bound lies below the floor"
    fills = [one.get("fill") for one in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert (fills.count(BROKEN), fills.count(HOLDS)) == (1 + 2, 1 + 2), "the legend's, both losses, both deliveries"
    assert "-40" in texts, "the axis holds the largest loss"
    assert "S1's rule: 2 of 2 choices break the floor" in texts
    assert "Delivered with it: none of 2 below the floor" in texts
    assert "refuses 1 of 2 choices, among them 1 that break the floor on the 750 others" in svg
    assert "Of the 1 that it lets through, 1 break it there." in texts
    assert gap_figure(raws) == svg


def test_a_figure_is_written_beside_its_card_and_shown_there(tmp_path: Path) -> None:
    raws = [Raw(card=CARD.id, scale="small", seed=0, rows=(row(-9.0, -43.0, -46.0),))]
    path = tmp_path / "raw" / CARD.id / "small-seed0.json"
    write_raw(path, raws[0])

    _, page = reproduced(Request(CARD.id, out=tmp_path, seeds=1))

    assert (tmp_path / f"{CARD.id}.svg").read_text(encoding="utf-8") == gap_figure(raws)
    assert f"({CARD.id}.svg)" in (tmp_path / f"{CARD.id}.md").read_text(encoding="utf-8")
    assert "<svg " in page.read_text(encoding="utf-8")
