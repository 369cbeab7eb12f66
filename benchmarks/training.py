"""How many images a second a training step takes on: moco's loop, the one that it had before, and the hand's.

`python -m benchmarks.training ../shared/data/cifar10 --depth 56 --rounds 10 --out runs/training.json`

All train the whole ResNet on batches of CIFAR-10, moved and mirrored, distilled from itself, on one thread. They take
turns, a few steps each, so that a busy machine is busy for all; what is counted is the thread's processor time.

- `before`: moco's loop as it was, kept here: contiguous memory, an index for each pixel, the teacher in each step.
- `moco`: `moco.recovery.descent` with the teacher's answers known, as in all trainings of a search but the first.
- `moco, first view`: the same with the answers of a view computed on the way, as in the first epoch that shows it.
- `hand`: the loop of ../shared/prototypes/by_hand.py: channels_last, one shift a batch, the teacher in each step.
- `labels`: moco's loop without a teacher; `labels before` likewise.

Where the processor has no bfloat16, the hand's loop computes in float32: as written it would take about three times as
long (`--emulated` has it too). Ratios are of seconds, paired by round, with a 95 % interval from the bootstrap.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.recovery import IMAGENET
from moco.data import SourceOptions, load_data
from moco.models import build_model, load_weights
from moco.models.arithmetic import Arithmetic, computing_in, has_bfloat16
from moco.models.augmentation import View
from moco.models.training import parameter_groups
from moco.randomness import generator
from moco.recovery import teacher as teacher_module
from moco.recovery.descent import descend_
from moco.recovery.distillation import DistillationOptions, distillation_loss, teacher_loss
from moco.recovery.fine_tuning import label_loss
from moco.recovery.teacher import Teacher
from moco.recovery.training_plan import FineTuningOptions

BATCH, STEPS = 128, 3
"""Images in a step, and steps in one turn."""
PLAN = DistillationOptions(learning_rate=0.01, batch_size=BATCH, epochs=1, shift=4, flip=True, views=2)
Turn = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """A trained network, and as many images (n, 3, 32, 32) and labels (n,) as one turn takes."""

    network: nn.Module
    images: Tensor
    labels: Tensor

    def moco(self, plan: FineTuningOptions, teacher: Teacher | None) -> Turn:
        """An epoch of moco's loop on the images, which are one turn; without a teacher on labels."""
        loss = label_loss(self.labels) if teacher is None else teacher_loss(teacher, self.labels)
        network = copy.deepcopy(self.network)
        return lambda: descend_(network, self.images, loss, plan, rng_seed=0)

    def before(self, distilled: bool) -> Turn:
        """The same by the loop that moco had until the issue "The delivered network beats ..."."""
        network, teacher = copy.deepcopy(self.network), copy.deepcopy(self.network).eval()
        optimizer = torch.optim.SGD(parameter_groups(network.parameters(), 5e-4), 0.01, momentum=0.9, nesterov=True)
        rng = torch.Generator().manual_seed(0)

        def turn() -> None:
            network.train()
            for rows in torch.split(torch.randperm(len(self.images), generator=rng), BATCH):
                seen = _moved_before(self.images[rows], rng)
                logits = network(seen)
                if distilled:
                    with torch.no_grad():
                        wanted = teacher(seen)
                    loss = distillation_loss(logits, wanted, self.labels[rows], 4.0, 1.0)
                else:
                    loss = F.cross_entropy(logits, self.labels[rows])
                float(loss.detach())
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()

        return turn

    def hand(self, arithmetic: Arithmetic) -> Turn:
        """The same by the loop of the hand's script, in that arithmetic."""
        network, teacher = copy.deepcopy(self.network), copy.deepcopy(self.network).eval()
        for one in (network, teacher):
            one.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
        rng = torch.Generator().manual_seed(0)

        def turn() -> None:
            network.train()
            for rows in torch.split(torch.randperm(len(self.images), generator=rng), BATCH):
                down, right = torch.randint(0, 9, (2,), generator=rng).tolist()
                seen = F.pad(self.images[rows], (4, 4, 4, 4))[:, :, down : down + 32, right : right + 32]
                mirrored = torch.rand(len(rows), generator=rng) < 0.5
                seen = torch.where(mirrored[:, None, None, None], seen.flip(3), seen)
                seen = seen.contiguous(memory_format=torch.channels_last)
                with computing_in(arithmetic):
                    logits = network(seen).float()
                    with torch.no_grad():
                        wanted = teacher(seen).float()
                soft = F.kl_div(
                    F.log_softmax(logits / 4, 1), F.log_softmax(wanted / 4, 1), log_target=True, reduction="batchmean"
                )
                loss = 0.1 * F.cross_entropy(logits, self.labels[rows]) + 0.9 * 16 * soft
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                optimizer.step()

        return turn


def _moved_before(images: Tensor, rng: torch.Generator) -> Tensor:
    """Moved by up to 4 pixels and mirrored, each image for itself, as moco did it: an index for each pixel."""
    count, channels, height, width = images.shape
    down, right = torch.randint(0, 9, (2, count, 1), generator=rng)
    rows = (down + torch.arange(height))[:, None, :, None]
    columns = (right + torch.arange(width))[:, None, None, :]
    places = torch.arange(count)[:, None, None, None], torch.arange(channels)[None, :, None, None]
    moved = F.pad(images, (4,) * 4)[(*places, rows, columns)]
    mirrored = torch.rand(count, generator=rng) < 0.5
    return torch.where(mirrored[:, None, None, None], moved.flip(3), moved)


class _Forgetful(Teacher):
    """A teacher that has to compute a view's answers in each turn."""

    def forget(self) -> None:
        self._answers.clear()


def turns(case: Case, emulated: bool) -> Iterator[tuple[str, Turn]]:
    """Each loop by its name."""
    for arithmetic in ("float32", "bfloat16") if has_bfloat16() or emulated else ("float32",):
        plan = replace(PLAN, precision=arithmetic)
        known = Teacher(case.network, case.images, plan.arithmetic)
        new = _Forgetful(case.network, case.images, plan.arithmetic)
        first = case.moco(plan, new)

        def afresh(new: _Forgetful = new, first: Turn = first) -> None:
            new.forget()
            first()

        yield f"moco, {arithmetic}", case.moco(plan, known)
        yield f"moco, first view, {arithmetic}", afresh
        yield f"labels, {arithmetic}", case.moco(plan, None)
        yield f"hand, {arithmetic}", case.hand(plan.arithmetic)
    yield "before", case.before(distilled=True)
    yield "labels before", case.before(distilled=False)


def measured(case: Case, rounds: int, emulated: bool) -> dict[str, list[float]]:
    """Seconds a step of each loop in each round, after one turn to warm up; the order changes from round to round."""
    loops = dict(turns(case, emulated))
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for turn in loops.values():
        turn()
    for round_ in range(rounds):
        for name in generator(0, "turns", round_).permutation(list(loops)):
            start = time.thread_time()
            loops[str(name)]()
            seconds[str(name)].append((time.thread_time() - start) / (len(case.images) // BATCH))
    return seconds


def ratio(slow: list[float], fast: list[float]) -> tuple[float, float, float]:
    """Of the medians of seconds, and its 95 % interval: rounds are drawn anew as they were, in pairs."""
    pairs = np.array([slow, fast])
    drawn = generator(0, "bootstrap").integers(0, pairs.shape[1], (2000, pairs.shape[1]))
    medians = np.median(pairs[:, drawn], axis=2)
    low, high = np.quantile(medians[0] / medians[1], (0.025, 0.975))
    return float(np.median(slow) / np.median(fast)), float(low), float(high)


def augmentation_share(case: Case, seconds: float) -> float:
    """Share of a step that moving and mirroring a batch takes."""
    view, rows, took = View(0, 4, True, 0, 2), torch.arange(BATCH), []
    for _ in range(50):
        start = time.thread_time()
        view.shown(case.images, rows)
        took.append(time.thread_time() - start)
    return float(np.median(took)) / seconds


def loaded(folder: Path, depth: int) -> Case:
    """The trained ResNet of that depth, and the images of one turn."""
    sets = load_data("parquet", SourceOptions(folder / "train.parquet", folder / "test.parquet"), IMAGENET)
    rows = np.arange(BATCH * STEPS)
    network = build_model(f"cifar_resnet{depth}")
    load_weights(network, folder / f"resnet{depth}_cifar10.safetensors")
    return Case(network.eval(), torch.from_numpy(sets.train.images(rows)), torch.tensor(sets.train.labels[rows]))


def main() -> None:
    """Print a table, and keep the seconds of every turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifar10", metavar="FOLDER", type=Path)
    parser.add_argument("--depth", type=int, default=56)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--emulated", action="store_true", help="bfloat16 also where the processor has none")
    parser.add_argument("--out", type=Path, help="file for the seconds of every turn")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    teacher_module.RUNTIME_MACS = 0  # a turn stands for a set whose views are worth an export
    case = loaded(arguments.cifar10, arguments.depth)
    seconds = measured(case, arguments.rounds, arguments.emulated)
    print(f"ResNet-{arguments.depth}, batches of {BATCH}, {arguments.rounds} rounds of {STEPS} steps; bfloat16 in "
          f"hardware: {'yes' if has_bfloat16() else 'no'}\n")  # fmt: skip
    print("| loop | ms a step (lowest to highest) | images/s | faster than before [95 %] |")
    print("|---|---|---|---|")
    for name, took in seconds.items():
        than = "labels before" if name.startswith("labels") else "before"
        factor, low, high = ratio(seconds[than], took)
        print(f"| {name} | {1e3 * np.median(took):.0f} ({1e3 * min(took):.0f} to {1e3 * max(took):.0f}) | "
              f"{BATCH / np.median(took):.0f} | {factor:.2f} [{low:.2f}, {high:.2f}] |")  # fmt: skip
    share = augmentation_share(case, float(np.median(seconds["moco, float32"])))
    print(f"\nMoving and mirroring a batch takes {100 * share:.2f} % of moco's step in float32.")
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps({"batch": BATCH, "seconds_a_step": seconds}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
