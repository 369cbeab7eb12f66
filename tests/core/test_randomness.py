from __future__ import annotations

import numpy as np
import pytest

from moco.randomness import derived_seed, generator, seed_sequence


def test_the_same_path_gives_the_same_numbers() -> None:
    first, second = generator(3, "searcher", 5), generator(3, "searcher", 5)
    assert first.random(4).tolist() == second.random(4).tolist()


@pytest.mark.parametrize("path", [("searcher", 6), ("splits", 5), ("searcher",), (5, "searcher"), ()])
def test_another_path_gives_other_numbers(path: tuple[str | int, ...]) -> None:
    assert generator(3, *path).random() != generator(3, "searcher", 5).random()


def test_another_seed_gives_other_numbers() -> None:
    assert generator(3, "searcher").random() != generator(4, "searcher").random()


def test_names_do_not_depend_on_the_process() -> None:
    """Python's hash of a string does; CRC-32 of "123456789" is its published check value."""
    assert seed_sequence(0, "123456789").spawn_key == (0xCBF43926,)


def test_derived_seeds_have_32_bits_and_differ() -> None:
    seeds = {derived_seed(0, "library", n) for n in range(100)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_the_global_generator_is_not_touched() -> None:
    before = np.random.get_state()[1].tobytes()  # type: ignore[index, union-attr]  # noqa: NPY002
    generator(0, "a").random()
    assert np.random.get_state()[1].tobytes() == before  # type: ignore[index, union-attr]  # noqa: NPY002
