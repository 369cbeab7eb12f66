"""RUN/best/card.md of a student: what it is, how good beside its teacher, how far to trust it and how to run it."""

from __future__ import annotations

from moco.metrics import METRICS, TOP1_ERROR
from moco.report.formatting import label, ordered, ratio, shown, shown_interval, shown_ratio
from moco.report.run_summary import plain
from moco.report.verdict import certificate_facts
from moco.students.record import FileRecord, StudentRecord

NOTE = (
    "Intervals are 95 %; the ratio is new / teacher. Costs are timed beside the teacher's file; "
    "the accuracies of this table are those of the search split."
)
USE = (
    "takes normalised float32 images (n, channels, height, width) as `input` and returns `logits`. "
    "`network.safetensors` holds the student's weights in float, for `model.weights` of an experiment."
)
LIMITS = (
    "Accuracy is stated for images drawn like those of the data above; on other images it is not known. "
    "Timings hold for the target and the machine above."
)


def card(record: StudentRecord, file: str, snippet: str | None) -> str:
    """The model card in Markdown; `file` is the network's beside it, `snippet` the target's Python that runs it."""
    best, chosen = record.delivered, record.chosen
    training = {
        "Teacher": record.teacher_network,
        "Student": best.name,
        "Training": record.training,
        "Epochs": f"{chosen.epochs:g} in {chosen.steps:,} steps",
        "Processor seconds": f"{chosen.processor_s:.0f} of its training, {record.processor_s:.0f} of the whole run",
    }
    origin = {
        "Images": plain(record.data),
        "Hardware": plain(record.hardware),
        "Versions": plain(record.versions),
        "Created": record.created,
        "Command": "moco distill experiment.yaml --out again",
    }
    parts = [
        f"# {_text(record.experiment)}",
        f"**{status(record)}.** {_text(_sentence(record, best))}",
        "## Metrics",
        _metrics(best, record.teacher),
        NOTE,
        "## Certificate",
        f"> {_text(plain(record.certificate.statement))}",
        _list(certificate_facts(record.certificate, plain(record.certificate.images))),
        "## Use",
        f"`{file}` {USE}",
        *([] if snippet is None else [f"```python\n{snippet}```"]),
        "## How it was trained",
        _list(training),
        "## Where it comes from",
        _list(origin),
        "## Limits",
        LIMITS,
    ]
    return "\n\n".join(parts) + "\n"


def status(record: StudentRecord) -> str:
    """In a word or two how the run ended."""
    if record.certificate.floor is None:
        return "delivered" if record.holds else "not within every bound"
    return "certified" if record.holds else "not certified"


def _sentence(record: StudentRecord, best: FileRecord) -> str:
    low, high = best.accuracy_interval
    return (
        f"{best.name}: {shown(TOP1_ERROR, 1 - best.accuracy)} of {record.images:,} unseen images right "
        f"(95 %: {shown(TOP1_ERROR, 1 - low)} to {shown(TOP1_ERROR, 1 - high)}), "
        f"the teacher {shown(TOP1_ERROR, 1 - record.teacher.accuracy)}."
    )


def _metrics(best: FileRecord, teacher: FileRecord) -> str:
    lines = ["| metric | this network | teacher | ratio |", "|---|---:|---:|---:|"]
    for name in ordered(name for name in best.metrics if name in METRICS and name in teacher.metrics):
        value, reference = best.metrics[name], teacher.metrics[name]
        ends = f" {shown_interval(name, *best.intervals[name])}" if name in best.intervals else ""
        compared = "" if name == TOP1_ERROR else shown_ratio(ratio(value, reference))
        lines.append(f"| {_text(label(name))} | {shown(name, value)}{ends} | {shown(name, reference)} | {compared} |")
    return "\n".join(lines)


def _list(pairs: dict[str, str]) -> str:
    return "\n".join(f"- {_text(name)}: {_text(text)}" for name, text in pairs.items())


def _text(text: str) -> str:
    """Text that Markdown takes as text: one line, nothing that starts markup or a table's cell."""
    for special in "\\`*|<[":
        text = text.replace(special, f"\\{special}")
    return " ".join(text.split())
