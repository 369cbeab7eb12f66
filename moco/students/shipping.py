"""What `moco distill` leaves in its run folder: best/ with its certificate and card, and the record in two forms."""

from __future__ import annotations

from pathlib import Path

from moco.run.job import Prepared
from moco.run_folder.network_file import file_name
from moco.run_folder.seal import seal
from moco.run_folder.writing import STUDENT, clear, write_json, write_text, write_weights
from moco.students.card import card
from moco.students.delivery import WEIGHTS, Delivered
from moco.students.folder import forget_trainings
from moco.students.record import StudentRecord
from moco.students.text import lines_of
from moco.whole_file import write_bytes

TEXT = "student.txt"


def ship(prepared: Prepared, made: Delivered, out: Path) -> StudentRecord:
    """Write best/, student.txt and last student.json, which says that the run is finished; give the record."""
    record, best, job = made.record, out / "best", prepared.job
    clear(best)
    file = file_name(made.file.artifact.path)
    write_bytes(best / file, made.file.artifact.path.read_bytes())
    said = dict(job.description.metadata)
    write_weights(best / WEIGHTS, made.network, {"network": record.student, **said})
    write_json(best / "certificate.json", record.certificate.to_json())
    normalize = job.data.test.normalize
    means = None if normalize is None else (tuple(normalize.mean), tuple(normalize.std))
    write_text(best / "card.md", card(record, file, job.target.snippet(file, job.data.train.shape, means)))
    seal(best)
    write_text(out / TEXT, "\n".join(lines_of(record, out)) + "\n")
    write_json(out / STUDENT, record.to_json())
    forget_trainings(out)
    return record
