"""The evaluation store: nothing is evaluated twice, whatever holds the file."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moco.errors import RunFolderError
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


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_text("this is a text, and long enough to be read as the header of a file" * 20)
    with pytest.raises(RunFolderError, match=r"store\.db: the evaluation store cannot be opened.*store: false"):
        EvaluationStore(path, {})


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be opened"):
        EvaluationStore(tmp_path / "file" / "store.db", {})


def test_a_store_that_cannot_be_written_or_read_is_named(tmp_path: Path) -> None:
    store = EvaluationStore(tmp_path / "store.db", {})
    with sqlite3.connect(tmp_path / "store.db") as database:
        database.execute("DROP TABLE evaluations")
    with pytest.raises(RunFolderError, match="cannot be written"):
        store.put(A, EVALUATION)
    with pytest.raises(RunFolderError, match="cannot be read"):
        store.get(A)
