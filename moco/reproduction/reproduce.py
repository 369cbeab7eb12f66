"""`moco reproduce`: the seeds of a card that are not kept yet are measured, and the card and the findings written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from moco.errors import ConfigError, nearest
from moco.reproduction.card import Card, Scale
from moco.reproduction.cards.registry import CARDS
from moco.reproduction.findings_page import findings_page
from moco.reproduction.pages import markdown, page
from moco.reproduction.raw import Raw
from moco.reproduction.record import CardRecord, record_of
from moco.reproduction.setting import Setting
from moco.reproduction.store import RAW, figure_name, kept_raws, raw_path, shared_folder, write_card, write_raw
from moco.reproduction.subjects import files_folder
from moco.run_folder.writing import write_text

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is asked of a card.

    Attributes:
        seeds: at least so many; None takes the card's own number at this scale. Others that are kept count too.
        resume: whether kept seeds are used again.
        minutes: what there is time for; None sets no limit.
    """

    card: str
    scale: str = Scale.SMALL
    out: Path = Path("cards")
    seeds: int | None = None
    resume: bool = True
    minutes: float | None = None


def card_named(name: str) -> Card:
    """The card of that id, or alias; a ConfigError gives the nearest."""
    for card in CARDS.values():
        if name in {card.id, *card.aliases}:
            return card
    raise ConfigError(f"card: unknown card '{name}'{nearest(name, CARDS)}; moco reproduce --list shows all")


def scale_named(name: str) -> Scale:
    """The scale of that name; a ConfigError gives the nearest."""
    if name not in set(Scale):
        raise ConfigError(f"--scale: unknown scale '{name}'{nearest(name, Scale)}")
    return Scale(name)


def reproduced(request: Request, tell: Tell = lambda _: None) -> tuple[CardRecord, Path]:
    """The card, written into the folder, and its page; a MocoError where it cannot be measured here."""
    card, scale = card_named(request.card), scale_named(request.scale)
    seeds = list(range(card.seeds[scale] if request.seeds is None else request.seeds))
    kept = {raw.seed for raw in kept_raws(request.out, card, scale)} if request.resume else set()
    missing = [seed for seed in seeds if seed not in kept]
    _check_time(card, scale, len(missing), request.minutes)
    files = files_folder() if missing and scale in card.files else None
    for seed in missing:
        setting = Setting(scale is Scale.FULL, seed, shared_folder(request.out), files, _of_seed(tell, card, seed))
        drawn = card.runner(setting)
        raw = Raw(card=card.id, scale=str(scale), seed=seed, moco=version("moco"), **vars(drawn))
        write_raw(raw_path(request.out, card, scale, seed), raw)
    raws = kept_raws(request.out, card, scale)
    if more := len(raws) - len(seeds):
        tell(f"{card.id}: {more} more seeds are kept and counted; remove their files in {RAW}/ to leave them out")
    record = record_of(card, scale, raws)
    figure = None if card.figure is None else card.figure(raws)
    text = markdown(record, None if figure is None else figure_name(record))
    return record, write_card(request.out, record, text, page(record, figure), figure)


def write_findings(out: Path, path: Path) -> str:
    """The page of all cards and findings, from what the folder keeps, written to the path; its text."""
    raws: dict[str, list[Raw]] = {}
    for name, card in CARDS.items():
        raws[name] = kept_raws(out, card, Scale.FULL) or kept_raws(out, card, Scale.SMALL)
    text = findings_page(CARDS, raws)
    write_text(path, text)
    return text


def listed() -> Sequence[str]:
    """A line a card: its id, title, findings, and minutes a seed takes at either scale."""
    return [
        f"{card.id}: {card.title} ({card.system}; findings {', '.join(card.findings) or 'none'}; a seed takes at most "
        f"{card.minutes[Scale.SMALL]:g} minutes small, {card.minutes[Scale.FULL]:g} full)"
        for card in CARDS.values()
    ]


def _check_time(card: Card, scale: Scale, seeds: int, minutes: float | None) -> None:
    needed = card.minutes[scale] * seeds
    if minutes is not None and needed > minutes:
        raise ConfigError(
            f"--minutes: {seeds} seeds of {card.id} at scale {scale} take up to {needed:g} minutes, got {minutes:g}: "
            "give more, fewer --seeds, or --scale small"
        )


def _of_seed(tell: Tell, card: Card, seed: int) -> Tell:
    return lambda text: tell(f"{card.id}, seed {seed}: {text}")
