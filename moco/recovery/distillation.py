"""Distillation: the compressed network learns to answer as the uncompressed one does (Hinton et al. 2015; S4.07).

With S(z, tau) the softmax of z / tau and H(p, q) = -sum_k p_k log q_k, averaged over images:

    L = H(y, S(z_s, 1)) + lambda tau^2 H(S(z_t, tau), S(z_s, tau))

The gradient of the second term by the student's logits z_s goes with 1 / tau^2, so its factor keeps lambda's meaning at
any temperature. Without labels the first term is left out, so any images will do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from moco.errors import CompressionError
from moco.models.training import Batch, BatchLoss
from moco.recovery.fine_tuning import FineTuningOptions, FineTuningStep, written_training
from moco.recovery.step import RecoveryContext, written


@dataclass(frozen=True)
class DistillationOptions(FineTuningOptions):
    """How a compressed network is trained on, and how a teacher's answers count."""

    step = "distillation"
    temperature: float = 4.0  # tau; larger ones show more of which wrong classes the teacher thinks likely
    weight: float = 1.0  # lambda, of the teacher's term beside the labels' term

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("temperature", "weight"):
            self._check(name, lambda value: value > 0, "above 0")


class DistillationStep(FineTuningStep):
    """Trains all weights on labels and on the original network's answers."""

    name, Options = "distillation", DistillationOptions

    def loss(self, context: RecoveryContext) -> BatchLoss:
        """L, with the original network as teacher."""
        answers = self.options.temperature, self.options.weight
        return teacher_loss(context.network, *context.training_set, self.options.augments, *answers)

    def written(self) -> str:
        """The plan, temperature and weight."""
        return written_training(self.options, written_answers(self.options.temperature, self.options.weight))


def written_answers(temperature: float, weight: float) -> str:
    """How a teacher's answers count, as stores hold it."""
    return written("Distillation", {"temperature": temperature, "weight": weight})


def teacher_loss(
    teacher: nn.Module,
    images: Tensor,
    labels: Tensor | None,
    augmented: bool,
    temperature: float = DistillationOptions.temperature,
    weight: float = DistillationOptions.weight,
) -> BatchLoss:
    """L over batches of these images, normalised, (n, channels, height, width), for `descend_`.

    There is a label (n,) for each image, or there are none: None. The teacher answers in evaluation mode and is never
    changed; an image is shown to it once, unless the images are `augmented`: other ones each time. A wrong number of
    labels, and a student of other classes, are a CompressionError.
    """
    if labels is not None and len(labels) != len(images):
        raise CompressionError(f"distillation: expected a label for each of {len(images)} images, got {len(labels)}")
    network = copy.deepcopy(teacher).eval()
    remembered = None if augmented else _remembered_answers(network, images)

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        with torch.no_grad():
            wanted: Tensor = network(batch.images) if remembered is None else remembered(batch)
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


def _remembered_answers(teacher: nn.Module, images: Tensor) -> Callable[[Batch], Tensor]:
    """The teacher's logits of a batch; an image is shown to it once, when it is first asked for."""
    logits: Tensor | None = None
    known = torch.zeros(len(images), dtype=torch.bool)

    def answers(batch: Batch) -> Tensor:
        nonlocal logits
        unknown = batch.rows[~known[batch.rows]]
        if len(unknown):
            found = teacher(images[unknown])
            if logits is None:
                logits = found.new_empty((len(images), *found.shape[1:]))
            logits[unknown] = found
            known[unknown] = True
        assert logits is not None
        return logits[batch.rows]

    return answers
