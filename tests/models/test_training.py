"""Training on the spot: deterministic, accurate, and without a trace in the global generator."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from moco.data import DataSets, load_data
from moco.errors import DataError
from moco.models import build_model, train
from moco.models.augmentation import shifted
from moco.models.training import TrainingPlan, learning_rate_factor

SHORT = TrainingPlan(epochs=1)


@pytest.fixture(scope="module")
def digits() -> DataSets:
    return load_data("digits")


def accuracy(network: torch.nn.Module, sets: DataSets) -> float:
    with torch.inference_mode():
        logits = network(torch.from_numpy(sets.test.images()))
    return float((logits.argmax(1).numpy() == sets.test.labels).mean())


def test_a_seed_gives_the_same_network_whatever_the_global_generator_and_threads(digits: DataSets) -> None:
    images, labels = digits.train.images(np.arange(128)), digits.train.labels[:128]
    first, second = build_model("digits_resnet"), build_model("digits_resnet")
    state = torch.get_rng_state()

    train(first, images, labels, plan=SHORT, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    train(second, images, labels, plan=SHORT, seed=3)

    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_dropout_and_layers_of_other_kinds_are_repeatable_too(digits: DataSets) -> None:
    images, labels = digits.train.images(np.arange(128)), digits.train.labels[:128]

    def trained() -> dict[str, torch.Tensor]:
        network = torch.nn.Sequential(
            torch.nn.ConvTranspose2d(1, 4, 3), torch.nn.PReLU(), torch.nn.Dropout(0.5), torch.nn.Flatten(),
            torch.nn.Linear(400, 10),
        )  # fmt: skip
        train(network, images, labels, plan=SHORT, seed=3)
        return network.state_dict()

    state = torch.get_rng_state()
    first = trained()
    torch.randn(5)
    assert all(torch.equal(tensor, first[name]) for name, tensor in trained().items())
    torch.set_rng_state(state)


def test_another_seed_gives_another_network(digits: DataSets) -> None:
    images, labels = digits.train.images(np.arange(64)), digits.train.labels[:64]
    first, second = build_model("digits_resnet"), build_model("digits_resnet")

    assert train(first, images, labels, plan=SHORT, seed=0) != train(second, images, labels, plan=SHORT, seed=1)


def test_the_network_is_left_in_evaluation_mode(digits: DataSets) -> None:
    network = build_model("digits_resnet")
    train(network, digits.train.images(np.arange(64)), digits.train.labels[:64], plan=SHORT)

    assert not network.training


def test_fewer_images_than_a_batch_are_refused(digits: DataSets) -> None:
    with pytest.raises(DataError, match="at least one batch of 64 images, got 10"):
        train(build_model("digits_resnet"), digits.train.images(np.arange(10)), digits.train.labels[:10])


def test_a_loss_that_is_not_finite_is_refused(digits: DataSets) -> None:
    plan = TrainingPlan(epochs=2, learning_rate=1e30)
    with pytest.raises(DataError, match="training diverged"):
        train(build_model("digits_resnet"), digits.train.images(), digits.train.labels, plan=plan)


def test_the_learning_rate_rises_and_then_falls_to_zero() -> None:
    factors = [learning_rate_factor(progress) for progress in (0.0, 0.05, 0.1, 0.55, 1.0)]

    assert 0 < factors[0] < factors[1] < factors[2]
    assert factors[2:] == pytest.approx([1.0, 0.5, 0.0])


def test_images_are_moved_by_whole_pixels_and_zeros_move_in() -> None:
    images = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4).expand(50, 1, 4, 4)
    moved = shifted(images, 1, torch.Generator().manual_seed(0))

    # Rows and columns lost to one side: nine places, and each keeps its pixels' values.
    middles = {tuple(image[0, 1:3, 1:3].flatten().tolist()) for image in moved}
    assert len(middles) == 9
    assert (6.0, 7.0, 10.0, 11.0) in middles
    assert (1.0, 2.0, 5.0, 6.0) in middles
    assert torch.equal(shifted(images, 0, torch.Generator()), images)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_digits_network_reaches_98_percent(digits: DataSets, seed: int) -> None:
    network = build_model("digits_resnet")
    train(network, digits.train.images(), digits.train.labels, seed=seed)

    assert accuracy(network, digits) >= 0.98


@pytest.mark.slow
def test_five_epochs_learn_most_of_the_digits(digits: DataSets) -> None:
    network = build_model("digits_resnet")
    train(network, digits.train.images(), digits.train.labels, plan=TrainingPlan(epochs=5))

    assert accuracy(network, digits) >= 0.93  # 0.975 and 0.982 were measured for seeds 0 and 1
