"""The page of an experiment in stages: all fronts over size and accuracy in one picture, and the delivered network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import plotly.graph_objects as go

from moco.metrics import FILE_SIZE, PACKED_SIZE, TOP1_ERROR
from moco.report.document import Html, document, element, join, listed, note, plot, row, section
from moco.report.figures import ACCENT, CHOSEN, INK, SPARE_COLOURS, base_figure
from moco.report.formatting import NOT_AVAILABLE, label, ratio, seconds, shown, shown_ratio
from moco.report.tables import definitions, table, yes_no
from moco.run_folder.stages import StageRecord, StagesRecord

COLOURS = (ACCENT, *SPARE_COLOURS)
STAGE_HEAD = (
    "stage",
    "searched",
    "networks",
    "delivered",
    "top-1 accuracy",
    "packed size",
    "size",
    "keeps what was asked",
)
FRONT_HEAD = ("stage", "trial", "top-1 accuracy", "packed size", "size")
BEFORE_HEAD = "top-1 before recovery"
_STAGES_NOTE = (
    "Each stage begins with the network that the one before it delivered, and its trained weights. All numbers, and "
    "every certificate, are beside the original network. A stage that others follow tests on the certification images "
    "one network alone, the one that it hands on, so that these images choose nothing before the last stage. Packed "
    "size counts codes at their bits, and of layers with single weights removed those that are left and a bit for "
    "each; the files store removed weights as zeros."
)
_FRONT_NOTE = (
    "Accuracies of the search images, on which these networks were chosen, so they are a little too good. The "
    "delivered network alone was tested on others. The files of a stage's own front are in its folder."
)
METRICS = (TOP1_ERROR, PACKED_SIZE, FILE_SIZE)


def stages_page(found: StagesRecord) -> str:
    """The whole page."""
    header = element("header", element("h1", found.experiment), element("p", stages_line(found)))
    title = f"{found.experiment}: {len(found.planned)} stages"
    return document(title, header, element("main", join(_sections(found)), style="padding-top: 1.8rem"))


def stages_line(found: StagesRecord) -> str:
    """What came of it, in one line."""
    last = found.stages[-1]
    if found.delivered is None or last.best is None:
        return f"{len(found.stages)} of {len(found.planned)} stages; {'; '.join(found.notes)}"
    keeps = "keeps" if found.holds else "does not keep"
    sizes = ", ".join(f"{label(name)} {_beside(found, last, name)}" for name in (PACKED_SIZE, FILE_SIZE))
    accuracy = shown(TOP1_ERROR, last.best.metrics.get(TOP1_ERROR))
    of = shown(TOP1_ERROR, found.reference.get(TOP1_ERROR))
    return (
        f"{len(found.stages)} stages: the delivered network {keeps} what was asked; {sizes} of the original's, "
        f"top-1 accuracy {accuracy} on the search images, the original's is {of}"
    )


def stage_rows(found: StagesRecord) -> list[tuple[str, ...]]:
    """The cells under `STAGE_HEAD`: the original network, then a stage a row."""
    original = tuple(shown(name, found.reference.get(name)) for name in METRICS)
    rows = [("original", NOT_AVAILABLE, NOT_AVAILABLE, NOT_AVAILABLE, *original, NOT_AVAILABLE)]
    for stage in found.stages:
        best, methods = stage.best, ", ".join(name.replace("_", " ") for name in stage.methods)
        trial = NOT_AVAILABLE if best is None else f"trial {best.trial}"
        numbers = (_beside(found, stage, name) for name in METRICS)
        holds = yes_no(None if best is None else best.holds)
        rows.append((f"{stage.number} {stage.name}", methods, f"{stage.trials:,}", trial, *numbers, holds))
    return rows


def front_rows(found: StagesRecord) -> list[tuple[str, ...]]:
    """The cells under `FRONT_HEAD`, and `BEFORE_HEAD` where that is known, of all stages' front, the smallest first."""
    names = {stage.number: stage.name for stage in found.stages}
    return [
        (
            f"{point.stage} {names.get(point.stage, '')}",
            str(point.trial),
            *(shown(name, point.metrics.get(name)) for name in METRICS),
            *([shown(TOP1_ERROR, (point.before_recovery or {}).get(TOP1_ERROR))] if _recovered(found) else []),
        )
        for point in found.front
    ]


def _recovered(found: StagesRecord) -> bool:
    """Whether a network of the front was scored before its recovery."""
    return any(point.before_recovery is not None for point in found.front)


def _sections(found: StagesRecord) -> Iterator[Html]:
    caption = "Accuracy against packed size; lines are the networks of a stage that keep its bounds and none beats"
    yield section("front", "All stages", plot("stages", caption, stages_figure(found), first=True))
    if found.notes:
        yield section("notes", "Notes", listed(found.notes))
    yield section(
        "stages",
        "Stage by stage",
        table(STAGE_HEAD, [row(*cells) for cells in stage_rows(found)], "Stages", "wide"),
        note(_STAGES_NOTE),
        join(
            note(f"{one.number} {one.name} kept as it was found, by number of layers: {', '.join(one.kept)}.")
            for one in found.stages
            if one.kept
        ),
    )
    yield section("delivered", "What is delivered", definitions(_delivered(found)))
    rows = [row(*cells) for cells in front_rows(found)]
    head = (*FRONT_HEAD, BEFORE_HEAD) if _recovered(found) else FRONT_HEAD
    yield section("all", "The front of all stages together", table(head, rows, "Front", "small"), note(_FRONT_NOTE))


def stages_figure(found: StagesRecord) -> go.Figure:
    """Top-1 accuracy (%) against packed size (MB): clouds and fronts by stage, what each delivered, the original."""
    figure = base_figure(420, "packed size (MB)", "top-1 accuracy (%)")
    for stage, colour in zip(found.stages, _colours(len(found.stages)), strict=True):
        _add_stage(figure, stage, colour)
    if {PACKED_SIZE, TOP1_ERROR} <= found.reference.keys():
        marker = {"symbol": "square", "size": 10, "color": INK}
        x, y = [found.reference[PACKED_SIZE]], [_accuracy(found.reference[TOP1_ERROR])]
        figure.add_scatter(x=x, y=y, mode="markers", name="original", marker=marker)
    return figure


def _add_stage(figure: go.Figure, stage: StageRecord, colour: str) -> None:
    name, group = f"{stage.number} {stage.name}", str(stage.number)
    sizes, errors = [size for size, _ in stage.points], [error for _, error in stage.points]
    cloud = {"size": 6, "color": colour, "opacity": 0.35}
    y = list(map(_accuracy, errors))
    figure.add_scatter(x=sizes, y=y, mode="markers", marker=cloud, legendgroup=group, showlegend=False, name=name)
    front = [point.metrics for point in stage.front]
    x, y = [one[PACKED_SIZE] for one in front], [_accuracy(one[TOP1_ERROR]) for one in front]
    line = {"color": colour, "width": 2, "shape": "hv"}
    figure.add_scatter(x=x, y=y, mode="lines+markers", line=line, legendgroup=group, name=name)
    if stage.best is not None and {PACKED_SIZE, TOP1_ERROR} <= stage.best.metrics.keys():
        marker = {"symbol": "star", "size": 16, "color": CHOSEN, "line": {"color": colour, "width": 2}}
        x, y = [stage.best.metrics[PACKED_SIZE]], [_accuracy(stage.best.metrics[TOP1_ERROR])]
        figure.add_scatter(
            x=x, y=y, mode="markers", marker=marker, legendgroup=group, showlegend=False, name=f"{name}: delivered"
        )


def _delivered(found: StagesRecord) -> Mapping[str, str]:
    last, of = found.stages[-1], found.certificate
    told = {"folder": found.delivered or NOT_AVAILABLE, "keeps what was asked": yes_no(found.holds)}
    if of is not None and of.statement:
        told["certificate, against the original"] = of.statement
    if last.best is not None and last.best.sha256 is not None and found.delivered is not None:
        told["SHA-256 of the file"] = last.best.sha256
    spent = [stage.processor_s for stage in found.stages if stage.processor_s is not None]
    told["processor time of all stages"] = seconds(sum(spent)) if len(spent) == len(found.stages) else NOT_AVAILABLE
    return told


def _beside(found: StagesRecord, stage: StageRecord, name: str) -> str:
    """A delivered network's number, of a size with its ratio to the original's."""
    value = None if stage.best is None else stage.best.metrics.get(name)
    original = found.reference.get(name)
    if value is None or original is None or name == TOP1_ERROR:
        return shown(name, value)
    return f"{shown(name, value)} ({shown_ratio(ratio(value, original))})"


def _colours(count: int) -> Sequence[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(count)]


def _accuracy(error: float) -> float:
    return 100 * (1 - error)
