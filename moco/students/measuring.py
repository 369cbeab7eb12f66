"""A student exported, scored and timed beside its teacher: in float, and in int8 where the target runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from torch import nn

from moco.baselines.baseline import Ground, costs_of
from moco.baselines.sibling import builder_of, policies_of
from moco.compression.space.codec import cost_of
from moco.evaluation.accuracy import Correct, correct, logits_of
from moco.evaluation.builder import Stopwatch
from moco.evaluation.evaluator import Evaluator, size_of
from moco.interfaces import Artifact
from moco.run.job import Prepared
from moco.trial import Evaluation


@dataclass(frozen=True)
class MeasuredFile:
    """A file of a student.

    Attributes:
        suffix: what is added to the student's name for it, such as ` int8`; empty for the float file.
        evaluation: on the search split, timed beside the teacher.
        right: which of the certification images it has right.
    """

    suffix: str
    artifact: Artifact
    evaluation: Evaluation
    right: Correct


def measured_files(
    prepared: Prepared, ground: Ground, student: nn.Module, evaluator: Evaluator, *, integers: bool = True
) -> Iterator[MeasuredFile]:
    """The student's files, each when it is asked for; without `integers` the float one alone.

    A CompressionError or MeasurementError where one cannot be built or run.
    """
    builder = builder_of(student, ground)
    for suffix, policy in policies_of(builder, ground.capabilities).items():
        if suffix and not integers:
            return
        artifact, _ = builder.build(policy)
        counted = {**size_of(artifact), **costs_of(cost_of(builder.compressor.costs, policy))}
        with closing(prepared.job.target.load(artifact)) as session:
            evaluation = evaluator.measured(session, counted, Stopwatch())
            images, labels = prepared.job.data.images("certification")
            right = correct(logits_of(session, images), labels)
        yield MeasuredFile(suffix, artifact, evaluation, right)
