"""The evaluation store: its keys, the texts that they hash, and an old file that still answers."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from moco.evaluation.store import EvaluationStore
from moco.hardware.measuring.processor import processor
from tests.golden.experiment import TIMED, content, experiment, moco, searched
from tests.golden.records import DATA, differences, elsewhere, other_exporter, read
from tests.golden.test_files import EXPERIMENTS
from tests.golden.test_ledgers import dumped, restored
from tests.processors import exact_integers

HERE = ("target", "versions")
"""What of a key this machine has a say in; all else is the same everywhere."""
CONTEXTS: dict[str, dict[str, Any]] = {
    **EXPERIMENTS,
    "minmax": {"space": {"quantization": {"precision": ["mixed"], "range": "minmax"}}},
    "output error": {"space": {"quantization": {"precision": ["mixed"], "range": "output_error"}}},
    "options of a refit": {"recovery": [{"refit": {"ridge": 0.001}}]},
    "options of a training": {"recovery": ["batch_norm", {"distillation": {"epochs": 1, "temperature": 3.0}}]},
    "a training in codes that distils": {"recovery": [{"quantization_aware": {"epochs": 1, "distil": True}}]},
    "a recovery of one's own": {"recovery": [{"custom": {"import": "golden_network:recovered"}}]},
    "another seed": {"seed": 5},
    "other timings": {"target": {"timing": {"seconds_batch1": 0.01, "slot_ms": 2.0, "warmup_calls": 1}}},
    "timed": {"objective": TIMED},
    "normalised": {
        "data": {
            "source": "digits",
            "normalize": {"mean": [0.3], "std": [0.4]},
            "splits": {"calibration": 32, "search": 100, "certification": 300},
        }
    },
}


def key(context: Mapping[str, Any]) -> str:
    """The hash by which the store has kept its evaluations from the first day on."""
    return hashlib.sha256(json.dumps(context, sort_keys=True).encode()).hexdigest()


class SeenError(Exception):
    """The store was opened, which is all that was asked."""


@contextmanager
def watched(recorded: Mapping[str, Any] | None = None, *, stop: bool = False) -> Iterator[list[dict[str, Any]]]:
    """What the store is opened with; with this machine's part replaced by the recorded one where that is given.

    With `stop` the search ends there.
    """
    opened: list[dict[str, Any]] = []
    original = EvaluationStore.__init__

    def watching(self: EvaluationStore, path: Path, context: Mapping[str, Any], *rest: Any, **more: Any) -> None:
        opened.append({**context, **(recorded or {})})
        if stop:
            raise SeenError
        original(self, path, opened[-1], *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EvaluationStore, "__init__", watching)
        patch.setenv("MOCO_DEBUG", "1")  # the command line lets what stops it through
        yield opened


def here(context: Mapping[str, Any]) -> dict[str, Any]:
    """This machine's part of a key."""
    return {name: context[name] for name in HERE}


def context_of(name: str, folder: Path) -> dict[str, Any]:
    """What an experiment's evaluations depend on beside the policy."""
    yaml = experiment(folder, **CONTEXTS[name])
    with watched(stop=True) as opened, pytest.raises(SeenError):
        moco("search", yaml, "--allow-import", "--out", folder / "run", "--set", "budget.trials=1")
    return opened[0]


def made(folder: Path) -> dict[str, Any]:
    """The contexts, with this machine's part once, and the keys that they gave."""
    contexts = {name: context_of(name, folder / str(place)) for place, name in enumerate(CONTEXTS)}
    part = here(contexts["as it is"])
    keys = {name: key(context) for name, context in contexts.items()}
    shared = {name: {k: v for k, v in context.items() if k not in HERE} for name, context in contexts.items()}
    return {"here": part, "keys": keys, "contexts": shared}


def filled(folder: Path) -> str:
    """A store that one search has filled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOCO_HOME", str(folder))
        searched(experiment(folder), folder / "run")
    return dumped(folder / "evaluations.db")


@pytest.mark.parametrize("name", CONTEXTS)
def test_the_key_of_an_experiment_is_what_it_was(name: str, tmp_path: Path) -> None:
    recorded, found = read("store"), context_of(name, tmp_path / "case")
    assert found.pop("weight_bits", 8) == (8 if processor().int8_exact else 7)  # this machine has a say in it
    assert differences(recorded["contexts"][name], {k: v for k, v in found.items() if k not in HERE}) == []
    assert sorted(found["versions"]) == sorted(recorded["here"]["versions"])
    assert sorted(found["target"]) == sorted(recorded["here"]["target"])
    assert key({**found, **recorded["here"]}) == recorded["keys"][name]
    assert EvaluationStore(tmp_path / "store.db", found).context == key(found)


def test_the_experiments_have_keys_of_their_own() -> None:
    keys = read("store")["keys"]
    alike = {name for name in keys if keys[name] == keys["as it is"]}
    assert alike == {"as it is", "timed"}, "how long networks are timed counts, not what is made of it"
    assert len(set(keys.values())) == len(keys) - 1


@exact_integers
@pytest.mark.skipif(other_exporter(), reason="the winner is built anew, and is refused where its bytes are others")
def test_an_old_store_answers(tmp_path: Path) -> None:
    """Every evaluation of the same search is taken from the file that the record holds."""
    yaml = experiment(tmp_path)
    restored((DATA / "evaluations.sql").read_text(encoding="utf-8"), tmp_path / "evaluations.db")
    with watched(read("store")["here"]):
        run = searched(yaml, tmp_path / "run")
    result = content(run / "result.json")
    assert result["cache"] == {"hits": 10, "misses": 0}
    recorded = read("run_folder")["trials.json"]
    for before, now in zip(recorded, content(run / "trials.json"), strict=True):
        assert now["evaluation"]["metrics"] == before["evaluation"]["metrics"]
        assert now["evaluation"]["artifact_sha256"] == before["evaluation"]["artifact_sha256"]


@exact_integers
def test_a_store_is_written_as_it_was(tmp_path: Path, moco_home: Path) -> None:
    """The same rows under the same keys; what took time differs, and the packed size, which counts scales since."""
    with watched(read("store")["here"]):
        searched(experiment(tmp_path), tmp_path / "run")
    old = restored((DATA / "evaluations.sql").read_text(encoding="utf-8"), tmp_path / "old.db")
    recorded, found = rows(old), rows(moco_home / "evaluations.db")
    assert recorded.keys() == found.keys()
    assert recorded
    if not elsewhere():
        for place, evaluation in recorded.items():
            assert differences(comparable(evaluation), comparable(found[place])) == []


def comparable(evaluation: dict[str, Any]) -> dict[str, Any]:
    """A row without what may differ."""
    metrics = {name: value for name, value in evaluation["metrics"].items() if name != "packed_size_mb"}
    return {**evaluation, "metrics": metrics, "seconds": 0}


def rows(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The evaluations of a store by context and policy."""
    database = sqlite3.connect(path)
    found = database.execute("SELECT context, policy, evaluation FROM evaluations").fetchall()
    database.close()
    return {(context, policy): json.loads(evaluation) for context, policy, evaluation in found}
