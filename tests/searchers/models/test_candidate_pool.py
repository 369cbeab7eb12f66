from __future__ import annotations

import numpy as np
import pytest

from moco.encoding import decode, encode
from moco.searchers.models.candidate_pool import CandidatePool
from moco.space import SearchSpace
from moco.testing.problems import SPACES
from tests.searchers.layered import layered_space

ALL = {**SPACES, "layered": layered_space()}


def children(space: SearchSpace, count: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Parents and their children."""
    rng = np.random.default_rng(seed)
    parents = CandidatePool(space).on_grid(rng.random((5, len(space.distributions))))
    return parents, CandidatePool(space).children(parents, count, rng)


@pytest.mark.parametrize("name", ALL)
def test_children_are_points_of_the_space_on_its_grid(name: str) -> None:
    space = ALL[name]
    logarithmic = [getattr(distribution, "log", False) for distribution in space.distributions.values()]
    for child in children(space)[1]:
        off = np.abs(encode(space, decode(space, child)) - child)
        assert np.all((off < 1e-9) | logarithmic)
        assert np.all(off < 0.1)


def test_every_choice_is_reached_from_every_other() -> None:
    space = SPACES["categorical"]
    parents, found = children(space, 3000)
    assert {decode(space, child)["bits0"] for child in found} == {2, 4, 8}
    assert (found != parents[0]).any()


def test_most_children_are_near_a_parent() -> None:
    parents, found = children(layered_space(), 1000)
    apart = np.array([np.min(np.sum(child != parents, axis=1)) for child in found])
    assert np.mean((apart > 0) & (apart <= 4)) > 0.6
    assert np.mean(apart >= 6) > 0.02  # some are new


def test_a_kind_is_moved_together() -> None:
    space = layered_space()
    middle = CandidatePool(space).on_grid(np.full((1, 8), 0.5))
    found = CandidatePool(space).children(middle, 2000, np.random.default_rng(0))
    keep, bits = found[:, 0::2] - 0.5, found[:, 1::2] - 0.5
    together = np.all(keep > 0.01, axis=1) & np.all(bits == 0, axis=1)
    assert together.mean() > 0.005


def test_the_same_generator_gives_the_same_children() -> None:
    np.testing.assert_array_equal(children(SPACES["mixed"], seed=3)[1], children(SPACES["mixed"], seed=3)[1])
