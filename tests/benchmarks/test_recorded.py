"""The recorded benchmarks: rows that are what they say, exact costs that are moco's own, a front that is one."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from benchmarks.recorded.benchmark import Benchmark, benchmark
from benchmarks.recorded.exact import EXACT, ExactCosts
from benchmarks.recorded.rows import FOLDER, NAMES, load, read_lines
from benchmarks.recorded.sampling import Mixture, best_by_rank
from benchmarks.recorded.search import surrogate_front
from benchmarks.recorded.space import PruneBits, values
from benchmarks.recorded.surrogate import logit, share
from moco.compression.policy_settings import bits_of, widths_of
from moco.pareto import non_dominated

LEAST_ROWS = {"resnet20": 2000, "digits": 500}


@pytest.fixture(autouse=True)
def _recorded(request: pytest.FixtureRequest) -> None:
    """Skip what needs a recording that was not made yet: `python -m benchmarks.record NAME` takes most of an hour."""
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name")
    if name and not (FOLDER / f"{name}_prune_bits.parquet").exists():
        pytest.skip(f"{name} was not recorded yet: python -m benchmarks.record {name}")


@cache
def recorded_benchmark(name: str) -> Benchmark:
    return benchmark(name)


@cache
def digits_space() -> PruneBits:
    return PruneBits("digits_resnet", (1, 8, 8), {})


def random_points(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.choice(values(d), count) for d in digits_space().space.distributions.values()])


def test_every_point_is_a_policy_and_comes_back() -> None:
    space = digits_space().space
    for row in random_points(20):
        point = dict(zip(space.distributions, map(int, row), strict=True))
        policy = space.canonical(point)
        assert dict(space.executed(policy, {})) == point
        assert bits_of(policy)["conv1"].weights == bits_of(policy)["linear"].weights == 8
        assert widths_of(policy).get("layer1.0.conv1", 32) == point["layer1.0.keep"]


def test_costs_in_bulk_are_those_of_the_codec() -> None:
    space, points = digits_space().space, random_points(30, seed=5)
    found = ExactCosts.of(space)(points)
    for i, row in enumerate(points):
        cost = space.cost(space.canonical(dict(zip(space.distributions, map(int, row), strict=True))))
        for name in EXACT:
            assert found[name][i] == pytest.approx(cost[name], rel=1e-12)


def test_the_mixture_is_a_function_of_the_seed_and_the_rows() -> None:
    space = digits_space().space
    mixture, again = Mixture(space, 0), Mixture(space, 0)
    places = mixture.places(random_points(300))
    losses = [np.random.default_rng(1).random((300, 2))]
    for n in (0, 150, 300, 301):
        one, other = mixture.draw(n, places, losses), again.draw(n, places, losses)
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1], other[1])
    assert mixture.point(mixture.draw(0, places[:0], [])[1]) == dict(space.neutral)


def test_no_policy_is_drawn_twice() -> None:
    mixture, seen = Mixture(digits_space().space, 0), np.empty((0, 9), dtype=np.int64)
    for n in range(260):
        losses = [np.column_stack([seen.sum(axis=1), -seen.sum(axis=1)])]
        seen = np.vstack([seen, mixture.draw(n, seen, losses)[1]])
    assert len(np.unique(seen, axis=0)) == len(seen)


def test_parents_are_whole_fronts() -> None:
    losses = np.array([[0, 0], [1, 1], [1, 2], [2, 1], [5, 5]], dtype=float)
    assert sorted(best_by_rank(losses, 2)) == [0, 1]
    assert sorted(best_by_rank(losses, 3)) == [0, 1, 2, 3]


def test_a_row_that_was_cut_short_is_dropped(tmp_path: object) -> None:
    path = tmp_path / "rows.jsonl"  # type: ignore[operator]
    path.write_text('{"a": 1}\n{"a": 2}\n{"a"')
    assert read_lines(path) == [{"a": 1}, {"a": 2}]
    assert path.read_text() == '{"a": 1}\n{"a": 2}\n'


def test_log_odds_come_back_and_stay_finite() -> None:
    errors = np.array([0.0, 0.1, 1.0])
    assert np.isfinite(logit(errors, 1000)).all()
    np.testing.assert_allclose(share(logit(errors, 1000), 1000), errors, atol=1e-12)


def test_the_search_finds_the_front_of_a_small_grid() -> None:
    """Two parameters of seven values: 49 policies, tried one by one."""
    grid = np.array([[x, y] for x in range(7) for y in range(7)])

    def losses(places: np.ndarray) -> np.ndarray:
        x, y = places[:, 0] / 6, places[:, 1] / 6
        return np.column_stack([(x - 0.2) ** 2 + 0.3 * y, (1 - x) ** 2 + 0.4 * (1 - y)])

    reference = np.array([2.0, 2.0])
    places, found = surrogate_front(losses, np.array([7, 7]), reference, np.array([[3, 3]]))
    expected = grid[non_dominated(losses(grid))]
    assert {tuple(row) for row in places} == {tuple(row) for row in expected}
    np.testing.assert_allclose(found, losses(places))


@pytest.mark.parametrize("name", NAMES)
def test_the_recording_is_what_it_says(name: str) -> None:
    recorded = load(name)
    points = recorded.points([column for column in recorded.columns if "." in column])
    assert len(recorded) == recorded.about["rows"] >= LEAST_ROWS[name]
    assert len(np.unique(points, axis=0)) == len(recorded)
    assert all(np.isfinite(recorded.columns[column]).all() for column in ("top1_error", "latency_ms", "bops"))
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 5e6


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_recorded_costs_are_exact(name: str) -> None:
    bench = recorded_benchmark(name)
    points = bench.recorded.points(list(bench.space.distributions))
    for cost, found in ExactCosts.of(bench.space)(points).items():
        np.testing.assert_allclose(found, bench.recorded.columns[cost], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_front_is_one_and_has_its_volume(name: str) -> None:
    bench = recorded_benchmark(name)
    front = bench.report["front"]
    losses = np.array(front["losses"])
    assert non_dominated(losses).all()
    assert np.all(losses < bench.reference_point)
    for index in np.linspace(0, len(losses) - 1, 5).astype(int):
        point = dict(zip(front["parameters"], front["points"][index], strict=True))
        found = bench.problem.judge(bench.evaluate(bench.space.canonical(point))).losses
        np.testing.assert_allclose(found, losses[index], atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_held_out_rows_are_predicted(name: str) -> None:
    held_out = benchmark(name).report["held_out"]
    assert held_out["top-1 error, all rows, mean"]["spearman"] > 0.97
    assert len(benchmark(name).report["evaluated"]["policies"]) >= 20
