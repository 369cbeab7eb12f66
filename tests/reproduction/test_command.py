"""`moco reproduce`: a card on digits, the same bytes the second time, the list, and one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moco import __version__
from moco.reproduction import reproduce
from moco.reproduction.cards.registry import CARDS
from moco.reproduction.reproduce import Request
from tests.app.tiny import moco, one_line

WRITTEN = [f"F1.CORR.{ending}" for ending in ("html", "json", "md")]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_card_is_measured_once_and_written_with_the_same_bytes_again(tmp_path: Path) -> None:
    first = moco("reproduce", "F1.CORR", "--seeds", "1", "--out", tmp_path)
    bytes_then = {name: (tmp_path / name).read_bytes() for name in WRITTEN}
    second = moco("reproduce", "F1.CORR", "--seeds", "1", "--out", tmp_path)

    assert first.exit_code == second.exit_code == 0
    assert "F1.CORR: Q06 " in first.stdout
    assert "training" not in second.stdout, "nothing is measured again"
    assert {name: (tmp_path / name).read_bytes() for name in WRITTEN} == bytes_then
    raw = json.loads((tmp_path / "raw" / "F1.CORR" / "small-seed0.json").read_text(encoding="utf-8"))
    assert raw["moco"] == __version__
    assert raw["hardware"].startswith("processor ")
    record = json.loads(bytes_then["F1.CORR.json"])
    assert record["findings"][0]["judgement"]["observations"] == 20
    assert str(tmp_path) not in bytes_then["F1.CORR.json"].decode()


def test_the_list_has_a_line_a_card() -> None:
    lines = moco("reproduce", "--list").stdout.splitlines()

    assert [line.split(":")[0] for line in lines if line.split(":")[0] in CARDS] == list(CARDS)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("F3.66",), ("unknown card 'F3.66'", "F3.6")),
        (("T4.1", "--scale", "smal"), ("--scale: unknown scale 'smal'", "small")),
        (("T4.1", "--minutes", "5"), ("--minutes: 6 seeds of T4.1 at scale small take up to 60 minutes, got 5",)),
        ((), ("card: expected a card's id", "--list")),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], parts: tuple[str, ...], tmp_path: Path) -> None:
    line = one_line(moco("reproduce", *arguments, "--out", tmp_path), 2)

    assert all(part in line for part in parts), line
    assert not list(tmp_path.iterdir()), "nothing was written"


def test_missing_files_are_named_with_where_they_were_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCO_CIFAR10", str(tmp_path))

    line = one_line(moco("reproduce", "F3.6", "--out", tmp_path / "out"), 1)

    assert str(tmp_path) in line
    assert "train.parquet" in line


def test_a_broken_raw_file_is_told_and_not_used(tmp_path: Path) -> None:
    path = tmp_path / "raw" / "F5.2" / "small-seed0.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}", encoding="utf-8")

    line = one_line(moco("reproduce", "F5.2", "--seeds", "1", "--out", tmp_path), 2)

    assert str(path) in line
    assert "remove it" in line


def test_a_card_that_waits_is_told_as_not_run_with_what_it_needs(tmp_path: Path) -> None:
    name = "T5.2"
    reproduce.reproduced(Request(name, out=tmp_path, seeds=1))

    text = reproduce.write_findings(tmp_path, tmp_path / "findings.md")

    title = f"[{CARDS[name].title}](cards/{name}.md)"
    assert f"| {name} not run | {title}. Not run: {CARDS[name].needs}. |" in text


def test_seeds_that_are_kept_count_though_fewer_are_asked_for(tmp_path: Path) -> None:
    kept = Path(__file__).parents[2] / "docs" / "cards"
    for seed in range(2):
        place = Path("raw", "F1.CORR", f"small-seed{seed}.json")
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes((kept / place).read_bytes())
    told: list[str] = []

    record, _ = reproduce.reproduced(Request("F1.CORR", out=tmp_path, seeds=1), told.append)

    assert record.seeds == (0, 1)
    assert told == ["F1.CORR: 1 more seeds are kept and counted; remove their files in raw/ to leave them out"]


def test_a_card_that_nobody_ran_does_not_blame_a_row_that_cannot_be_shown(tmp_path: Path) -> None:
    text = reproduce.write_findings(tmp_path, tmp_path / "findings.md")

    line = next(line for line in text.splitlines() if line.startswith("| F1.TRT "))
    assert "nobody has measured it here yet" in line
    assert "TensorRT" not in line
