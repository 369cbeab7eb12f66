"""Which file of all students is delivered, and what is certified of it.

The order in which files are tried is fixed by the search split and the timings alone, before an image of the
certification split is looked at: the best score first among those that meet every bound there, the floor included, then
the others by accuracy. With a floor the first that holds is delivered; each try has its share of the error probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from moco.certification.certificate import Certificate, certify, equal_shares
from moco.evaluation.accuracy import Correct
from moco.metrics import TOP1_ERROR
from moco.run.fresh_evidence import Evidence
from moco.run.job import Prepared
from moco.run_folder.record import as_json
from moco.run_folder.result import CertificateRecord
from moco.students.measuring import MeasuredFile
from moco.trial import Evaluation


def in_order(prepared: Prepared, files: Sequence[MeasuredFile]) -> list[int]:
    """The places of the files, in the order in which they are to be tried."""
    keys = [_rank(prepared, file.evaluation) for file in files]
    return sorted(range(len(files)), key=lambda place: (*keys[place], place))


def _rank(prepared: Prepared, evaluation: Evaluation) -> tuple[float, float]:
    error = evaluation.metrics[TOP1_ERROR].value
    try:
        outcome, score = prepared.problem.judge(evaluation), prepared.problem.unbounded_score(evaluation)
    except ValueError:  # a metric that the objective asks for cannot be measured here
        return 1.0, error
    return (0.0, -score) if outcome.feasible else (1.0, error)


def certified(
    prepared: Prepared, names: Sequence[str], right: Sequence[Correct], evidence: Sequence[Evidence], teacher: Correct
) -> tuple[int, CertificateRecord]:
    """The place of the file to deliver, and its certificate; the best file comes first.

    Files that miss a bound when timed stand behind those that keep all, as in a search. The best is tested last, with
    what those before it have passed on.
    """
    floor, options = prepared.job.floor, prepared.job.plan.delivery
    best_first = sorted(range(len(names)), key=lambda place: not all(bound.holds for bound in evidence[place].bounds))
    places = best_first[: options.attempts][::-1] if floor is not None else best_first
    found: Certificate = certify(
        places,
        lambda place: right[place].top1,
        teacher.top1,
        floor,
        options.confidence,
        equal_shares(len(places)),
    )
    chosen = int(found.reported.candidate)
    told = [replace(attempt, candidate=names[int(attempt.candidate)]) for attempt in found.attempts]
    content = {
        **found.to_json(),
        "attempts": [vars(attempt) for attempt in told],
        "bounds": as_json(evidence[chosen].bounds),
        "relative": floor is None or floor.relative,
    }
    return chosen, CertificateRecord.from_json(content)
