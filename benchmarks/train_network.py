"""Trains a network of the zoo on CIFAR-10 from nothing, by moco's own loop, and writes its weights.

`python -m benchmarks.train_network cifar_mobilenetv2 ../shared/data/cifar10 WEIGHTS.safetensors --option width=0.5`

Stochastic gradient descent with Nesterov momentum and one cosine cycle, images moved by up to 4 pixels and mirrored,
in bfloat16 where the processor has it. A training that was interrupted goes on where it was: its state lies beside the
weights until it is done. It prints the top-1 accuracy on the test images and the seconds that it took.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import yaml

from benchmarks.recovery import IMAGENET
from moco.data import SourceOptions, load_data
from moco.models import build_model
from moco.models.training import initialise, seeded_torch
from moco.processor_clock import ProcessorClock
from moco.randomness import derived_seed
from moco.recovery.descent import descend_
from moco.recovery.fine_tuning import label_loss
from moco.recovery.training_plan import FineTuningOptions
from moco.run_folder.writing import write_weights

BATCH = 500
"""Images that are scored at once."""


def main() -> None:
    """Train, score and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("data", type=Path, help="a folder with train.parquet and test.parquet")
    parser.add_argument("weights", type=Path, help="the file that is written")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of the network")
    parser.add_argument("--epochs", type=float, default=15.0)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--decay", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    options = {name: yaml.safe_load(value) for name, _, value in (one.partition("=") for one in arguments.option)}
    files = SourceOptions(arguments.data / "train.parquet", arguments.data / "test.parquet")
    sets = load_data("parquet", files, IMAGENET)
    with seeded_torch(derived_seed(arguments.seed, "network")):
        network = build_model(arguments.name, sets.train.classes, **options)
        initialise(network, torch.Generator().manual_seed(derived_seed(arguments.seed, "training")))
    images, labels = torch.tensor(sets.train.images()), torch.tensor(sets.train.labels)
    plan = FineTuningOptions(
        learning_rate=arguments.rate, weight_decay=arguments.decay, batch_size=arguments.batch, epochs=arguments.epochs,
        schedule="one_cycle", shift=4, flip=True,
    )  # fmt: skip

    def told(epoch: int, loss: float) -> None:
        print(f"epoch {epoch}: loss {loss:.3f}, {clock():.0f} s", flush=True)

    clock, state = ProcessorClock(), arguments.weights.with_suffix(".checkpoint.safetensors")
    arguments.weights.parent.mkdir(parents=True, exist_ok=True)
    descend_(network, images, label_loss(labels), plan, rng_seed=arguments.seed, on_epoch=told, checkpoint=state)
    write_weights(arguments.weights, network)
    state.unlink(missing_ok=True)
    shown, right = torch.tensor(sets.test.images()), torch.tensor(sets.test.labels)
    with torch.no_grad():
        answers = torch.cat([network(part).argmax(1) for part in torch.split(shown, BATCH)])
    print(f"{arguments.name}: top-1 {100 * (answers == right).double().mean():.2f} % on {len(right)} test images")
    print(f"{clock():.0f} s of the processor")


if __name__ == "__main__":
    main()
