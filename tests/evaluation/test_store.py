"""The evaluation store: nothing is evaluated twice, whatever holds the file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from moco.evaluation.store import EvaluationStore
from moco.policy import Policy
from moco.trial import Evaluation, MetricValue

A, B = Policy.of({"a": {"precision": "int8"}}), Policy.of({})
EVALUATION = Evaluation(
    {"top1_error": MetricValue(0.1, 0.01), "size_mb": MetricValue(1 / 3)},
    {"latency_ms.candidate_ms": (1.0, 2.5)},
    {"score": 0.25},
    "ab" * 32,
    {"warnings": ["é"], "latency_ms.ratio": [1.0, 0.9, 1.1]},
)


def test_what_is_stored_comes_back_as_it_was(tmp_path: Path) -> None:
    store = EvaluationStore(tmp_path / "store.db", {"network": "n"})
    store.put(A, EVALUATION)

    assert store.get(A) == EVALUATION
    assert store.get(B) is None
    assert (store.hits, store.misses) == (1, 1)


def test_another_session_finds_it(tmp_path: Path) -> None:
    first = EvaluationStore(tmp_path / "store.db", {"network": "n", "threads": 1})
    first.put(A, EVALUATION)
    first.close()

    assert EvaluationStore(tmp_path / "store.db", {"threads": 1, "network": "n"}).get(A) == EVALUATION


@pytest.mark.parametrize("other", [{"network": "m"}, {"network": "n", "threads": 2}, {}])
def test_another_context_does_not(tmp_path: Path, other: dict[str, object]) -> None:
    EvaluationStore(tmp_path / "store.db", {"network": "n"}).put(A, EVALUATION)

    assert EvaluationStore(tmp_path / "store.db", other).get(A) is None


def test_two_open_stores_share_the_file(tmp_path: Path) -> None:
    one, other = (EvaluationStore(tmp_path / "store.db", {}) for _ in range(2))
    one.put(A, EVALUATION)

    assert other.get(A) == EVALUATION


def test_the_first_evaluation_of_a_policy_stays(tmp_path: Path) -> None:
    store = EvaluationStore(tmp_path / "store.db", {})
    store.put(A, EVALUATION)
    store.put(A, Evaluation({"top1_error": MetricValue(0.9)}))

    assert store.get(A) == EVALUATION


def test_an_evaluation_without_a_metric_that_is_needed_is_a_miss_until_a_fuller_one_is_stored(tmp_path: Path) -> None:
    store = EvaluationStore(tmp_path / "store.db", {})
    store.put(A, Evaluation({"top1_error": MetricValue(0.9)}))
    assert store.get(A, {"top1_error", "size_mb"}) is None
    assert (store.hits, store.misses) == (0, 1)

    store.put(A, EVALUATION)
    assert store.get(A, {"top1_error", "size_mb"}) == EVALUATION


def test_worker_threads_may_use_it(tmp_path: Path) -> None:
    store = EvaluationStore(tmp_path / "store.db", {})
    policies = [Policy.of({"n": n}) for n in range(40)]

    def work(policy: Policy) -> Evaluation | None:
        store.put(policy, EVALUATION)
        return store.get(policy)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, policies)) == [EVALUATION] * 40


def no_database(path: Path) -> None:
    path.write_text("this is a text, and long enough to be read as the header of a file" * 20)


def no_folder(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("")


def a_folder(path: Path) -> None:
    path.mkdir()


def another_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE evaluations (a TEXT)")


def cut(path: Path) -> None:
    filled(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)


def zeroed(path: Path) -> None:
    filled(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(size - 4096))


def locked(path: Path) -> None:
    filled(path)
    database = sqlite3.connect(path, isolation_level=None)
    LOCKS.append(database)
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("PRAGMA journal_mode = DELETE")
    database.execute("BEGIN EXCLUSIVE")


LOCKS: list[sqlite3.Connection] = []


def filled(path: Path) -> None:
    store = EvaluationStore(path, {})
    for number in range(50):
        store.put(Policy.of({"n": number}), EVALUATION)
    store.close()


@pytest.mark.parametrize("broken", [no_database, no_folder, a_folder, another_schema, cut, zeroed, locked])
def test_a_file_that_cannot_be_used_is_told_once_and_done_without(
    tmp_path: Path, broken: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moco.store_table.WAIT_S", 0.1)
    path = tmp_path / "folder" / "store.db"
    path.parent.mkdir()
    broken(path)
    store = EvaluationStore(path, {})
    for number in range(51):
        policy = Policy.of({"n": number})
        found = store.get(policy)
        assert found is None or (broken is cut and found == EVALUATION)
        store.put(policy, EVALUATION)
        store.all()
    (warning,) = store.warnings
    assert warning.startswith(f"{path}: the evaluation store: it cannot be ")
    assert warning.endswith("move the file away, or set `store: false`")
    store.close()
    while LOCKS:
        LOCKS.pop().close()


GOOD = json.dumps(EVALUATION.to_json())


@pytest.mark.parametrize(
    "row",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        None,
        7,
        b"\xff\xfe",
        GOOD[:-1],
        GOOD.replace("[0.1, 0.01]", '["0.1", 0.01]'),
        GOOD.replace("[0.1, 0.01]", "[NaN, 0.01]"),
        GOOD.replace("[0.1, 0.01]", "[0.1, Infinity]"),
        GOOD.replace("[0.1, 0.01]", "[null, null]"),
        GOOD.replace("[0.1, 0.01]", "[true, null]"),
        GOOD.replace("[0.1, 0.01]", "[0.1, 0.01, 3]"),
        GOOD.replace('{"score": 0.25}', '{"score": "long"}'),
    ],
)
def test_a_row_that_cannot_be_read_is_a_miss_that_is_told_once_and_replaced(tmp_path: Path, row: object) -> None:
    store = EvaluationStore(tmp_path / "store.db", {})
    for policy in (A, B):
        store.put(policy, EVALUATION)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as database:
        database.execute("UPDATE evaluations SET evaluation = ? WHERE policy = ?", (row, A.text))
        database.execute("UPDATE evaluations SET evaluation = ? WHERE policy = ?", (row, B.text))

    assert store.get(A) is None
    assert store.get(B) is None
    assert store.all() == []
    assert (store.hits, store.misses) == (0, 2)
    (warning,) = store.warnings
    assert "store.db: the evaluation store: a row cannot be used" in warning
    assert warning.endswith("it is measured anew")
    store.put(A, EVALUATION)
    assert store.get(A) == EVALUATION


def test_a_policy_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    store = EvaluationStore(tmp_path / "store.db", {})
    store.put(A, EVALUATION)
    store.put(Policy("{not JSON"), EVALUATION)
    assert [policy for policy, _ in store.all()] == [A]
    assert len(store.warnings) == 1
