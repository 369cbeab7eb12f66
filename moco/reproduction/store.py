"""The folder of cards: raw results by card, scale and seed, which are kept and used again, and the written cards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from moco.errors import RunFolderError
from moco.reproduction.card import Card, Scale
from moco.reproduction.raw import FORMAT, Raw
from moco.reproduction.record import CardRecord
from moco.run_folder.writing import write_text

RAW, SHARED = "raw", "shared"


def shared_folder(out: Path) -> Path:
    """Where networks that were trained on the spot lie."""
    return out / RAW / SHARED


def raw_path(out: Path, card: Card, scale: Scale, seed: int) -> Path:
    """The file of a seed's raw results."""
    return out / RAW / card.file_name / f"{scale}-seed{seed}.json"


def read_raw(path: Path) -> Raw | None:
    """The raw results in a file; None where there is none. A RunFolderError where it is not what a card writes."""
    if not path.exists():
        return None
    try:
        raw = Raw.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{path}: expected raw results of a card, got {type(error).__name__}; remove it, and it is measured anew"
        ) from None
    if raw.format != FORMAT:
        raise RunFolderError(f"{path}: expected raw results of format {FORMAT}, got {raw.format}; remove it")
    return raw


def write_raw(path: Path, raw: Raw) -> None:
    """Write a seed's raw results, whole; a RunFolderError where that cannot be done."""
    write_text(path, json.dumps(raw.to_json(), indent=1, ensure_ascii=False) + "\n")


def kept_raws(out: Path, card: Card, scale: Scale, seeds: Sequence[int] | None = None) -> list[Raw]:
    """The raw results that are there, of these seeds or of all, in the order of seeds."""
    folder = out / RAW / card.file_name
    found = [read_raw(path) for path in folder.glob(f"{scale}-seed*.json")]
    raws = [raw for raw in found if raw is not None and (seeds is None or raw.seed in seeds)]
    return sorted(raws, key=lambda raw: raw.seed)


def figure_name(record: CardRecord) -> str:
    """What the file of a card's figure is called."""
    return f"{record.id.replace('/', '_')}.svg"


def write_card(out: Path, record: CardRecord, markdown: str, page: str, figure: str | None = None) -> Path:
    """Write cards/<id>.json, .md and .html, and .svg where it has a figure; the path of the page."""
    name = record.id.replace("/", "_")
    if figure is not None:
        write_text(out / figure_name(record), figure)
    write_text(out / f"{name}.json", json.dumps(record.to_json(), indent=1, ensure_ascii=False) + "\n")
    write_text(out / f"{name}.md", markdown)
    write_text(out / f"{name}.html", page)
    return out / f"{name}.html"
