"""What `moco distill` has found, in lines for people: on the console, and in student.txt."""

from __future__ import annotations

from pathlib import Path

from moco.metrics import LATENCY, decimal
from moco.students.record import FileRecord, StudentRecord


def lines_of(record: StudentRecord, out: Path) -> list[str]:
    """A line for the teacher and for each file, what they took, what is certified, and what is delivered where."""
    files = [record.teacher, *(file for seed in record.seeds for file in seed.files)]
    spent = ", ".join(f"seed {one.seed}: {one.epochs:.3g} epochs in {one.processor_s:.0f} s" for one in record.seeds)
    return [
        *(_line(file, record.teacher) for file in files),
        f"processor seconds of the training: {spent}; of all: {record.processor_s:.0f} s",
        str(record.certificate.statement),
        *(f"warning: {text}" for text in record.warnings),
        brief_of(record, out),
    ]


def brief_of(record: StudentRecord, out: Path) -> str:
    """What is delivered where, its accuracy, and whether what was asked for holds."""
    file = record.delivered
    low, high = (100 * end for end in file.accuracy_interval)
    floor = "" if record.certificate.floor is None else f", {'certified' if record.holds else 'not certified'}"
    right = f"{100 * file.accuracy:.1f} % of {record.images:,} unseen images right (95 %: {low:.1f} to {high:.1f})"
    return f"{out / 'best'}: {file.name}, {right}{floor}"


def _line(file: FileRecord, teacher: FileRecord) -> str:
    low, high = (100 * end for end in file.accuracy_interval)
    told = f"{file.name}: {100 * file.accuracy:.1f} % ({low:.1f} to {high:.1f})"
    if (latency_ms := file.metrics.get(LATENCY)) is not None:
        told += f", {decimal(latency_ms, 3)} ms"
        if file is not teacher and teacher.metrics.get(LATENCY):
            told += f", {teacher.metrics[LATENCY] / latency_ms:.2f} times as fast"
    return told
