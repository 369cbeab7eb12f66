"""The training of a compressed network on any loss of its logits: repeatable bit by bit, and resumable at any step.

Whatever a step draws follows from the seed and its place: the order of the images from the epoch, an image's
augmentation from its view and row, dropout from the step. So a training that was interrupted goes on as it would have.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import torch
from torch import Tensor, nn

from moco.errors import CompressionError
from moco.models.arithmetic import channels_last
from moco.models.augmentation import View
from moco.models.batch_norms import BATCH_NORMS
from moco.models.training import Batch, BatchLoss, Descent, batches_of_rows, parameter_groups, seeded_torch
from moco.randomness import derived_seed
from moco.recovery.checkpoint import Checkpoint, Progress, fingerprint_of
from moco.recovery.frozen_batch_norms import folded_into_layers
from moco.recovery.training_plan import FineTuningOptions, decay
from moco.torch_threads import one_thread

AHEAD = 0.3
"""How far the clock may be ahead of the steps at the beginning, where both may end a training; less and less towards
the end. What is done once, such as a teacher's answers, is done early."""

OnEpoch = Callable[[int, float], None]
"""Called after each whole epoch with its number from 1 on and its mean loss; the network is in training mode."""


@dataclass(frozen=True)
class Tuned:
    """What a training took."""

    epochs: float  # passes over the images, the last one perhaps a part
    steps: int
    seconds: float  # by the clock, since it began or was taken up
    losses: tuple[float, ...]  # mean loss of each epoch, the last one perhaps of a part
    processor_s: float = 0.0  # of this thread, those before an interruption too


def descend_(  # noqa: PLR0913 - four of them by keyword
    network: nn.Module,
    images: Tensor,
    loss: BatchLoss,
    plan: FineTuningOptions,
    *,
    rng_seed: int,
    views_seed: int | None = None,
    on_epoch: OnEpoch | None = None,
    checkpoint: Path | None = None,
) -> Tuned:
    """Train the network in place on any loss of its logits, and leave it in evaluation mode.

    The images are normalised, (n, channels, height, width); the loss is `label_loss` of their labels, or that of a
    teacher. `rng_seed` is of the order of the images and of dropout, `views_seed` of their augmentation: trainings of
    one `views_seed` see the same views, so that one teacher's answers serve all of them; None takes `rng_seed`.

    Where there is a path `checkpoint`, the state of the training is written there every half minute and at its end, and
    taken up where the file is there already: the weights are those of a training without interruption, bit by bit, and
    a training that had come to its end makes no step. `on_epoch` is not called again for epochs that had been made. The
    loss is not looked into: give each loss a file of its own. A file that is damaged or of another training is told
    by a warning, and the training begins anew.

    Raises:
        CompressionError: the loss or a weight is not finite; the step and the layer are named.
    """
    if len(images) < 2:
        raise CompressionError(f"fine-tuning: expected at least two images, got {len(images)}; see data.splits")
    seeds = _Seeds(rng_seed, rng_seed if views_seed is None else views_seed)
    with one_thread(), seeded_torch(0), ExitStack() as stack:
        try:
            if plan.frozen_batch_norm:
                stack.enter_context(folded_into_layers(network.eval(), images[:2]))
            network.train()
            for module in network.modules():
                if plan.frozen_batch_norm and isinstance(module, BATCH_NORMS):
                    module.eval()
            with channels_last(network, images) as order:
                return _TrainingLoop(network, images, loss, plan, seeds, order).run(on_epoch, checkpoint)
        finally:
            network.eval()


@dataclass(frozen=True)
class _Seeds:
    steps: int
    views: int


class _TrainingLoop:
    def __init__(
        self,
        network: nn.Module,
        images: Tensor,
        loss: BatchLoss,
        plan: FineTuningOptions,
        seeds: _Seeds,
        order: torch.memory_format,
    ) -> None:
        self.network, self.images, self.plan, self.seeds, self.order = network, images, plan, seeds, order
        self.masks = _zero_masks(network) if plan.keep_zeros else []
        self.optimizer = _optimizer(network, plan)
        self.descent = Descent(network, loss, self.optimizer, plan.clip, plan.arithmetic)
        self.steps_in_epoch = max(1, len(images) // plan.batch_size)
        self.last_step = None if plan.epochs is None else max(1, round(plan.epochs * self.steps_in_epoch))
        self.rows: tuple[Tensor, ...] = ()
        self.start, self.thread_start_s = time.perf_counter(), time.thread_time()

    def run(self, on_epoch: OnEpoch | None, path: Path | None) -> Tuned:
        """Make steps until the plan's end, at least one, and say what it took."""
        plan = f"{self.plan} {self.plan.arithmetic} {self.seeds}"
        what = "" if path is None else fingerprint_of(self.network, self.images, plan)
        checkpoint = Checkpoint(path, self.network, self.optimizer, what)
        done = checkpoint.taken_up()
        losses, self.thread_start_s = list(done.losses), self.thread_start_s - done.seconds
        for step in count(len(losses)):
            if step and self._progress(step) >= 1:
                break
            losses.append(self._made(step))
            epoch_ends = len(losses) % self.steps_in_epoch == 0
            if on_epoch is not None and epoch_ends:
                on_epoch(len(losses) // self.steps_in_epoch, _mean(losses[-self.steps_in_epoch :]))
            if checkpoint.due(epoch_ends=epoch_ends):
                checkpoint.write(Progress(tuple(losses), self._spent_s()))
        _check_weights(self.network, f"after step {len(losses)}", self.plan)
        if len(losses) > len(done.losses):
            checkpoint.write(Progress(tuple(losses), self._spent_s()))
        epochs = [losses[i : i + self.steps_in_epoch] for i in range(0, len(losses), self.steps_in_epoch)]
        took = time.perf_counter() - self.start
        made, spent_s = len(losses), self._spent_s()
        return Tuned(made / self.steps_in_epoch, made, took, tuple(map(_mean, epochs)), spent_s)

    def _made(self, step: int) -> float:
        """Make the step, and give its loss."""
        torch.manual_seed(derived_seed(self.seeds.steps, "fine-tuning", "layers", step))
        loss = self.descent.step(self._batch(step), self._learning_rate(step), lambda loss: self._check(step, loss))
        with torch.no_grad():
            for weight, mask in self.masks:
                weight.mul_(mask)
        return loss

    def _batch(self, step: int) -> Batch:
        epoch, place = divmod(step, self.steps_in_epoch)
        if place == 0 or not self.rows:
            rng = torch.Generator().manual_seed(derived_seed(self.seeds.steps, "fine-tuning", "order", epoch))
            self.rows = batches_of_rows(len(self.images), self.plan.batch_size, rng)
        rows, view = self.rows[place], self._view(epoch)
        return Batch(view.shown(self.images, rows).contiguous(memory_format=self.order), rows, view)

    def _view(self, epoch: int) -> View:
        """How the images are seen in the epoch: always alike where nothing moves or mirrors them."""
        plan = self.plan
        views = plan.views if plan.augments else 1
        return View(self.seeds.views, plan.shift, plan.flip, epoch if views is None else epoch % views, views)

    def _spent_s(self) -> float:
        return time.thread_time() - self.thread_start_s

    def _progress(self, step: int) -> float:
        """Share of the training that is done before this step, by steps or by time, whichever is further.

        Where both may end it the steps lead, unless the clock is far ahead of them: the machine has become slower then.
        """
        by_clock = 0.0 if self.plan.seconds is None else self._spent_s() / self.plan.seconds
        if self.last_step is None:
            return by_clock
        return max(step / self.last_step, by_clock - AHEAD * (1 - by_clock))

    def _learning_rate(self, step: int) -> float:
        progress = 0.0 if step == 0 else self._progress(step)
        return self.plan.learning_rate * decay(self.plan, step / self.steps_in_epoch, progress)

    def _check(self, step: int, loss: float) -> None:
        if not math.isfinite(loss):
            _check_weights(self.network, f"in step {step + 1}", self.plan)
            raise CompressionError(
                f"fine-tuning: the loss is {loss} in step {step + 1} though all weights are finite; "
                f"the learning rate is {self.plan.learning_rate:g} here; lower {self.plan.key('learning_rate')}, and "
                "check the images for NaN"
            )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _optimizer(network: nn.Module, plan: FineTuningOptions) -> torch.optim.Optimizer:
    """The plan's, over the parameters that ask for a gradient; biases and batch-norms do not decay."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not parameters:
        raise CompressionError("fine-tuning: no parameter of the network asks for a gradient; set requires_grad")
    groups = parameter_groups(parameters, plan.weight_decay)
    if plan.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=plan.learning_rate)
    return torch.optim.SGD(groups, lr=plan.learning_rate, momentum=plan.momentum, nesterov=plan.momentum > 0)


def _zero_masks(network: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Each weight that holds zeros, and where it holds none."""
    weights = [p for p in network.parameters() if p.requires_grad and p.dim() > 1]
    return [(weight, mask) for weight in weights if not (mask := weight.detach() != 0).all()]


def _check_weights(network: nn.Module, when: str, plan: FineTuningOptions) -> None:
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if not torch.isfinite(tensor).all():
            raise CompressionError(
                f"fine-tuning: '{name}' is not finite {when}; "
                f"the learning rate is {plan.learning_rate:g} here; lower {plan.key('learning_rate')}, or check the "
                "images for NaN"
            )
