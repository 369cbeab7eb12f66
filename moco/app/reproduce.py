"""The command about the published systems: their tables measured again, and what holds of their findings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.text import Text
from typer import Argument, Option

from moco.app.application import app
from moco.app.command import command
from moco.app.output import Answer, Output
from moco.errors import ConfigError


@command(app, "moco reproduce T4.1 --scale small --seeds 3")
def reproduce(  # noqa: PLR0913, PLR0917 - each is an option of the command
    output: Output,
    card: Annotated[str | None, Argument(metavar="CARD", help="A table or figure, such as T4.1.")] = None,
    scale: Annotated[str, Option(help="small, minutes; or full, hours.")] = "small",
    seeds: Annotated[int | None, Option(min=1, help="At least so many. Default: the card's own number.")] = None,
    out: Annotated[Path, Option(help="Folder of cards and of the raw results that are kept.")] = Path("cards"),
    resume: Annotated[bool, Option("--resume/--no-resume", help="Use kept seeds again, or measure all anew.")] = True,
    minutes: Annotated[float | None, Option(help="Refuse what may take longer.")] = None,
    all_cards: Annotated[bool, Option("--list", help="List the cards and measure nothing.")] = False,
    findings: Annotated[Path | None, Option(metavar="FILE.md", help="Write what is kept of all cards there.")] = None,
) -> Answer:
    """Measure a published table again on this machine, and judge the findings that it bears on."""
    from moco.reproduction.reproduce import Request, listed, reproduced, write_findings

    if all_cards:
        lines = Text("\n".join(listed()))
        return Answer({"cards": list(listed())}, [lines], lines)
    if findings is not None:
        write_findings(out, findings)
        return Answer({"findings": str(findings)}, [Text(str(findings))], Text(str(findings)))
    if card is None:
        raise ConfigError("card: expected a card's id, such as T4.1; moco reproduce --list shows all")
    record, page = reproduced(Request(card, scale, out, seeds, resume, minutes), output.progress.print)
    verdicts = ", ".join(f"{one.id} {one.judgement.outcome}" for one in record.findings) or "no findings"
    line = Text(f"{record.id}: {verdicts}; {page}")
    return Answer(record.to_json(), [line], line)
