"""The pay-off probe: which widths, precisions and ranks pay, on targets whose staircase is known."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from moco.analysis.payoff.probe import PayOffStore, ProbePlan, candidate_widths, context, probe
from moco.analysis.payoff.verdicts import LosingMove, PayOff, PayOffReport, Timed, losing_moves, steps
from moco.errors import ConfigError, MeasurementError, SpaceError
from moco.export.probe_geometry import Geometries, PairGeometry
from moco.hardware.measuring.timing import interleave
from moco.interfaces import Artifact, Capabilities
from moco.measurement import Measurement, TimingPlan
from tests.export.test_probe_graphs import conv
from tests.hardware.scripted import ScriptedClock

# runtimes.md §2: four 3x3 pairs 64 -> K -> 64 at 16 x 16 on ONNX Runtime, one thread, AVX-512, ratio to K = 64
PUBLISHED_FLOAT32 = {
    64: 1.0, 60: 1.00, 56: 1.01, 52: 1.01, 48: 0.79, 45: 0.92, 44: 0.79, 40: 0.78, 36: 0.78, 33: 0.78, 32: 0.56,
    28: 0.57, 24: 0.57, 20: 0.57, 17: 0.50, 16: 0.36, 12: 0.34, 8: 0.31,
}  # fmt: skip
PUBLISHED_INT8 = {56: 0.95, 52: 0.92, 48: 0.79, 45: 1.12, 44: 0.76, 40: 0.74, 36: 0.72, 33: 0.98, 32: 0.58}

PAIR = PairGeometry(conv(16, 16, 4), None, conv(16, 16, 4))
WIDE = PairGeometry(conv(16, 64, 4), None, conv(64, 16, 4))
FOUND = Geometries({"a": PAIR, "b": PAIR, "c": WIDE}, {"odd": "it is odd"})
PLAN = ProbePlan(seconds=12.0)


def timed(ratios: Iterable[float], sem: float = 0.0) -> list[Timed]:
    return [Timed(ratio, ratio, ratio, sem) for ratio in ratios]


def exact(ratio: float) -> Timed:
    return Timed(ratio, ratio, ratio, 0.0)


def payoff(precision: str = "float32", **changes: Any) -> PayOff:
    return replace(
        PayOff("g", precision, precision == "float32", 0.25, (8, 4), (exact(1.0), exact(0.5)), {}), **changes
    )


def report(*payoffs: PayOff) -> PayOffReport:
    return PayOffReport({"runtime": "r"}, 1, {"a": "g", "b": "g"}, payoffs, {"odd": "it is odd"}, 1.5, 0)


class StaircaseSession:
    def __init__(self, artifact: Artifact) -> None:
        graph = onnx.load_from_string(artifact.path.read_bytes()).graph
        shapes = {i.name: list(i.dims) for i in graph.initializer}
        bias = next(name for name in shapes if name.startswith("pair0.producer.") and ".bias" in name)
        self.artifact = artifact
        self.int8 = bias.endswith("_q")
        self.width = shapes[bias][0]
        self.factorised = any(name.startswith("pair0.producer.1.") for name in shapes)
        self.input_shape = tuple(size.dim_value for size in graph.input[0].type.tensor_type.shape.dim[1:])

    def run(self, images: np.ndarray) -> np.ndarray:
        raise AssertionError("a probe need not run a graph by itself")

    def close(self) -> None:
        self.closed = True


class StaircaseTarget:
    """Float32 steps at 16 channels, int8 at 4 with twice the speed, factorised pairs take a little longer.

    The wall goes on `busy` times as fast as the time that the target counts.
    """

    name = "staircase"

    def __init__(self, busy: int = 1, ms: float = 1.0, precisions: tuple[str, ...] = ("float32", "int8")) -> None:
        self.capabilities = Capabilities(precisions, {}, {"int8": frozenset({"conv"})}, frozenset())
        self.busy, self.ms = busy, ms
        self.clock = ScriptedClock()
        self.measured: list[list[StaircaseSession]] = []

    def load(self, artifact: Artifact) -> StaircaseSession:
        return StaircaseSession(artifact)

    def cost_ms(self, session: StaircaseSession) -> float:
        step = 4 if session.int8 else 16
        share = math.ceil(session.width / step) * step / 64 + 0.2
        return self.ms * share * (0.5 if session.int8 else 1.0) * (1.3 if session.factorised else 1.0)

    def measure(self, sessions: Sequence[Any], plan: TimingPlan) -> Measurement:
        self.measured.append(list(sessions))
        calls = [self.clock.call(self.cost_ms(session) * plan.batch) for session in sessions]
        return Measurement(plan, interleave(calls, plan, self.clock))

    def wall_s(self) -> float:
        return self.clock.now_ns * self.busy / 1e9

    def describe(self) -> Mapping[str, Any]:
        return {"runtime": self.name, "ms": self.ms}


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Probes FOUND on a target; with a store where one is named."""

    def probed(target: StaircaseTarget, plan: ProbePlan = PLAN, store: str | None = None) -> PayOffReport:
        kept = None if store is None else PayOffStore(tmp_path / store, context(target, plan))
        return probe(target, FOUND, plan, tmp_path, kept, target.wall_s)

    return probed


# ---- the staircase


def test_published_float32_steps_are_found() -> None:
    found = steps(list(PUBLISHED_FLOAT32), timed(PUBLISHED_FLOAT32.values(), 0.005))
    assert found == (8, 12, 16, 17, 32, 48, 64)


def test_published_int8_steps_are_multiples_of_four() -> None:
    found = steps(list(PUBLISHED_INT8), timed(PUBLISHED_INT8.values(), 0.005))
    assert found == (32, 36, 40, 44, 48, 52, 56)


def test_without_noise_a_width_pays_where_no_wider_one_is_as_fast() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        widths = rng.permutation(20)[:12] + 1
        ratios = rng.uniform(0.2, 1.0, 12)
        slow = sorted(
            int(w)
            for w, r in zip(widths, ratios, strict=True)
            if all(r < other for v, other in zip(widths, ratios, strict=True) if v > w)
        )
        assert list(steps(widths.tolist(), timed(ratios.tolist()), min_gain=0.0)) == slow


def test_a_difference_within_the_noise_does_not_pay() -> None:
    assert steps([16, 12], timed([1.0, 0.97], 0.02)) == (16,)
    assert steps([16, 12], timed([1.0, 0.97], 0.005)) == (12, 16)


def test_less_than_the_least_gain_does_not_pay_however_sure() -> None:
    assert steps([16, 12], timed([1.0, 0.995])) == (16,)
    assert steps([16, 12], timed([1.0, 0.995]), min_gain=0.001) == (12, 16)


def test_gains_too_small_one_by_one_pay_when_they_add_up() -> None:
    assert steps([5, 4, 3, 2, 1], timed([1.0, 0.994, 0.988, 0.982, 0.976])) == (1, 3, 5)


def test_candidate_widths_hold_the_full_one_multiples_and_odd_ones() -> None:
    assert candidate_widths(64) == (64, 63, 60, 56, 52, 48, 44, 40, 36, 33, 32, 28, 24, 20, 16, 12, 8, 4)
    assert candidate_widths(6) == (6, 5, 4, 3, 2, 1)
    assert candidate_widths(256)[:5] == (256, 255, 240, 224, 208)
    assert candidate_widths(1) == (1,)


def test_fewer_candidates_are_a_subset_with_the_full_width() -> None:
    for width in (3, 16, 24, 64, 96, 1280):
        for most in (8, 4):
            fewer = candidate_widths(width, most)
            assert set(fewer) <= {*candidate_widths(width)}
            assert fewer[0] == width
            assert len(fewer) <= most + 1


# ---- verdicts


def test_a_narrower_width_that_is_faster_means_that_pruning_pays() -> None:
    assert payoff().pruning_pays
    assert payoff().paying_widths == (4, 8)
    assert not payoff(times=(exact(0.5), exact(0.6))).pruning_pays


def test_int8_pays_where_it_beats_the_reference_at_full_width() -> None:
    assert payoff("int8", times=(exact(0.5), exact(0.6))).precision_pays
    assert not payoff("int8", times=(exact(1.1), exact(0.6))).precision_pays
    assert not payoff(times=(exact(0.9), exact(0.6))).precision_pays  # the reference does not compete with itself


def test_factorised_pairs_compete_with_the_whole_one_in_their_own_precision() -> None:
    found = payoff("int8", times=(exact(0.5), exact(0.6)), factorised={0.25: exact(0.4), 0.5: exact(0.7)})
    assert found.paying_keeps == (0.25,)


def test_losing_moves_are_named_by_group_and_precision() -> None:
    whole = payoff("float32", factorised={0.5: exact(1.2)})
    int8 = payoff("int8", times=(exact(1.25), exact(1.5)))
    found = losing_moves(report(whole, int8))
    assert found[:3] == (
        LosingMove("a", "float32", "factorisation", "the fastest takes 1.20 of the whole pair's time"),
        LosingMove("a", "int8", "filter_pruning", "the fastest narrower width takes 1.20 of the full one's time"),
        LosingMove("a", "int8", "precision", "int8 takes 1.25 of the reference's time"),
    )
    assert [move.group for move in found] == ["a"] * 3 + ["b"] * 3


def test_paying_widths_by_group_and_errors_with_a_way_out() -> None:
    found = report(payoff())
    assert found.of("b", "float32").paying_widths == (4, 8)
    with pytest.raises(SpaceError, match="'odd' was not probed: it is odd"):
        found.of("odd", "float32")
    with pytest.raises(SpaceError, match=r"'a' was not probed in 'int8'"):
        found.of("a", "int8")


def test_json_and_back() -> None:
    found = report(payoff(factorised={0.5: exact(1.2)}, warnings=("é",)), payoff("int8"))
    data = json.loads(json.dumps(found.to_json()))
    assert PayOffReport.from_json(data) == found
    assert data["payoffs"][0]["paying_widths"] == [4, 8]
    assert data["losing_moves"][0]["move"] == "factorisation"


# ---- the probe


def test_known_staircases_are_found_in_each_precision(run: Any) -> None:
    found = run(StaircaseTarget())
    assert found.of("c", "float32").paying_widths == (16, 32, 48, 64)
    assert found.of("c", "int8").paying_widths == tuple(range(4, 65, 4))
    assert found.of("a", "float32").paying_widths == found.of("b", "float32").paying_widths == (16,)
    assert found.of("c", "int8").precision_pays
    assert found.of("c", "float32").full.ratio == pytest.approx(1.0)
    assert found.of("c", "int8").full.ratio == pytest.approx(0.5)
    assert found.of("c", "float32").paying_keeps == ()
    assert found.left_out == {"odd": "it is odd"}


def test_equal_geometries_are_probed_once_interleaved_with_the_full_float_pair(run: Any) -> None:
    target = StaircaseTarget()
    run(target)
    together = [sessions for sessions in target.measured if len(sessions) > 1]
    assert len(together) == 2
    for sessions, width in zip(together, (16, 64), strict=True):
        assert (sessions[0].width, sessions[0].int8, sessions[0].factorised) == (width, False, False)


def test_the_files_are_removed(run: Any, tmp_path: Path) -> None:
    run(StaircaseTarget())
    assert list(tmp_path.glob("*.onnx")) == []


@pytest.mark.parametrize("busy", [1, 6])
def test_a_probe_ends_in_time_also_where_others_take_the_core(run: Any, busy: int) -> None:
    found = run(StaircaseTarget(busy), replace(PLAN, seconds=30.0))
    assert set(found.groups) == {"a", "b", "c"}
    assert 15 < found.seconds < 30


def test_short_budgets_take_fewer_widths(run: Any) -> None:
    found = run(StaircaseTarget(), replace(PLAN, seconds=2.0))
    assert found.of("c", "float32").widths == (64, 48, 32, 16)


def test_what_is_spent_before_is_not_spent_again(run: Any) -> None:
    assert run(StaircaseTarget(), replace(PLAN, spent=8.0)).seconds < 4


def test_what_the_budget_does_not_reach_is_left_out_and_said(run: Any) -> None:
    found = run(StaircaseTarget(ms=100.0), replace(PLAN, seconds=1.0))
    assert set(found.groups) == {"a", "b"}
    assert found.left_out == {"odd": "it is odd", "c": "the 1 s were spent"}


def test_a_target_without_int8_is_probed_in_float_only(run: Any) -> None:
    found = run(StaircaseTarget(precisions=("float32",)))
    assert {payoff.precision for payoff in found.payoffs} == {"float32"}


def test_int8_is_left_out_where_the_target_has_it_for_neither_layer(run: Any) -> None:
    target = StaircaseTarget()
    target.capabilities = replace(target.capabilities, layer_kinds={"int8": frozenset({"linear"})})
    assert {payoff.precision for payoff in run(target).payoffs} == {"float32"}


def test_a_target_with_no_precision_that_can_be_built_is_refused(run: Any) -> None:
    with pytest.raises(MeasurementError, match="the target has float16"):
        run(StaircaseTarget(precisions=("float16",)))


@pytest.mark.parametrize("wrong", [{"seconds": 0.0}, {"batch": 0}, {"min_gain": 1.0}, {"seconds": math.nan}])
def test_impossible_plans_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="pay-off: expected"):
        ProbePlan(**wrong)


# ---- the store

NOT_A_NUMBER = "a ratio that is none"


def test_a_second_run_is_answered_from_the_store(run: Any) -> None:
    first = run(StaircaseTarget(), store="s.db")
    target = StaircaseTarget()
    second = run(target, store="s.db")
    assert target.measured == []
    assert second.payoffs == first.payoffs
    assert (first.stored, second.stored) == (0, 2)


def test_a_new_geometry_alone_is_measured(run: Any, tmp_path: Path) -> None:
    target = StaircaseTarget()
    store = PayOffStore(tmp_path / "s.db", context(target, PLAN))
    probe(target, Geometries({"a": PAIR}, {}), PLAN, tmp_path, store, target.wall_s)
    later = StaircaseTarget()
    assert run(later, store="s.db").stored == 1
    assert [len(sessions) > 1 for sessions in later.measured].count(True) == 1


@pytest.mark.parametrize(
    "again",
    [
        partial(StaircaseTarget, ms=2.0),
        partial(StaircaseTarget, precisions=("float32", "int8")),
    ],
)
def test_another_machine_is_measured_anew(run: Any, again: Any) -> None:
    run(StaircaseTarget(), store="s.db")
    target = again()
    run(target, store="s.db")
    assert bool(target.measured) == (target.ms == 2.0)


@pytest.mark.parametrize("other", [{"batch": 2}, {"seconds": 10.0}])
def test_another_plan_is_measured_anew(run: Any, other: dict[str, Any]) -> None:
    run(StaircaseTarget(), store="s.db")
    target = StaircaseTarget()
    run(target, replace(PLAN, **other), store="s.db")
    assert target.measured


def test_another_least_gain_judges_what_is_stored(run: Any) -> None:
    run(StaircaseTarget(), store="s.db")
    target = StaircaseTarget()
    found = run(target, replace(PLAN, min_gain=0.3), store="s.db")
    assert target.measured == []
    assert found.of("c", "float32").paying_widths == (16, 32, 64)  # 48 takes 0.79, 32 0.58, 16 0.375


def test_a_precision_that_is_not_stored_is_measured(run: Any) -> None:
    run(StaircaseTarget(precisions=("float32",)), store="s.db")
    target = StaircaseTarget()
    run(target, store="s.db")
    assert target.measured


def test_a_file_that_cannot_be_used_is_told_and_done_without(run: Any, tmp_path: Path) -> None:
    (tmp_path / "s.db").write_text("this is a text, and long enough to be read as the header of a file" * 20)
    found = run(StaircaseTarget(), store="s.db")
    assert (found.stored, len(found.payoffs)) == (0, 4)
    (warning,) = found.warnings
    assert warning.startswith(f"{tmp_path / 's.db'}: the pay-off store: it cannot be opened")


@pytest.mark.parametrize("row", ["", "{}", "null", NOT_A_NUMBER, "[" * 100_000])
@pytest.mark.slow
def test_a_row_that_cannot_be_read_is_measured_again(run: Any, tmp_path: Path, row: str) -> None:
    first = run(StaircaseTarget(), store="s.db")
    with sqlite3.connect(tmp_path / "s.db") as database:
        if row is NOT_A_NUMBER:
            database.execute("UPDATE payoffs SET payoff = replace(payoff, '\"ratio\": ', '\"ratio\": -')")
            database.execute("UPDATE payoffs SET payoff = replace(payoff, '\"ratio\": -1.0', '\"ratio\": NaN')")
        else:
            database.execute("UPDATE payoffs SET payoff = ?", (row,))
    again = run(StaircaseTarget(), store="s.db")
    assert (again.stored, again.payoffs) == (0, first.payoffs)
    assert len(again.warnings) == 1
    assert run(StaircaseTarget(), store="s.db").stored == first.stored + 2
