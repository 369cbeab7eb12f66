"""Distillation: the compressed network learns to answer as the uncompressed one does (Hinton et al. 2015; S4.07).

With S(z, tau) the softmax of z / tau and H(p, q) = -sum_k p_k log q_k, averaged over images:

    L = H(y, S(z_s, 1)) + lambda tau^2 H(S(z_t, tau), S(z_s, tau))

The gradient of the second term by the student's logits z_s goes with 1 / tau^2, so its factor keeps lambda's meaning at
any temperature. Without labels the first term is left out, so any images will do.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from moco.errors import CompressionError
from moco.models.training import Batch, BatchLoss
from moco.recovery.fine_tuning import FineTuningStep
from moco.recovery.step import RecoveryContext, written
from moco.recovery.teacher import Teacher
from moco.recovery.training_plan import FineTuningOptions, written_training


@dataclass(frozen=True)
class DistillationOptions(FineTuningOptions):
    """How a compressed network is trained on, and how a teacher's answers count."""

    step = "distillation"
    views: int | None = 4
    temperature: float = 4.0  # tau; larger ones show more of which wrong classes the teacher thinks likely
    weight: float = 1.0  # lambda, of the teacher's term beside the labels' term

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("temperature", "weight"):
            self._check(name, lambda value: value > 0, "above 0")


class DistillationStep(FineTuningStep):
    """Trains all weights on labels and on the original network's answers."""

    name, Options = "distillation", DistillationOptions

    def prepare(self, context: RecoveryContext) -> BatchLoss:
        """L, with the original network as teacher; all candidates share its answers."""
        teacher = Teacher(context.network, context.training_set[0], self.options.arithmetic)
        return teacher_loss(teacher, context.training_set[1], self.options.temperature, self.options.weight)

    def written(self) -> str:
        """The plan, temperature and weight."""
        return written_training(self.options, written_answers(self.options.temperature, self.options.weight))


def written_answers(temperature: float, weight: float) -> str:
    """How a teacher's answers count, as stores hold it."""
    return written("Distillation", {"temperature": temperature, "weight": weight})


def teacher_loss(
    teacher: Teacher,
    labels: Tensor | None,
    temperature: float = DistillationOptions.temperature,
    weight: float = DistillationOptions.weight,
) -> BatchLoss:
    """L over batches of the teacher's images, for `descend_`; with a label (n,) for each image, or without labels.

    A wrong number of labels, and a student of other classes, are a CompressionError.
    """
    if labels is not None and len(labels) != len(teacher):
        raise CompressionError(f"distillation: expected a label for each of {len(teacher)} images, got {len(labels)}")

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        wanted = teacher.answers(batch)
        if wanted.shape != logits.shape:
            raise CompressionError(
                f"distillation: the teacher gives logits {tuple(wanted.shape)}, the student "
                f"{tuple(logits.shape)}; both need the same classes"
            )
        known = None if labels is None else labels[batch.rows]
        return distillation_loss(logits, wanted, known, temperature, weight)

    return loss


def distillation_loss(
    student: Tensor, teacher: Tensor, labels: Tensor | None, temperature: float, weight: float
) -> Tensor:
    """L of logits (n, classes), a mean over images; without labels the teacher's term alone."""
    soft = F.cross_entropy(student / temperature, (teacher / temperature).softmax(1))
    loss = weight * temperature**2 * soft
    return loss if labels is None else loss + F.cross_entropy(student, labels)
