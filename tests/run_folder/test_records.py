"""Records are the JSON of a run folder and back; files of an older moco, which lack keys, are read too."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest

from moco.run_folder.comparison_record import ComparisonRecord, RunRecord
from moco.run_folder.manifest import Manifest
from moco.run_folder.record import Record, required
from moco.run_folder.result import CertificateRecord, Result
from moco.run_folder.trial_record import TrialRecord, TrialSummary
from moco.trial import Evaluation, MetricValue, Outcome, Suggestion, Trial, TrialState
from tests.import_rules import sources
from tests.report import example_run
from tests.report.comparison.example_comparison import example

BARE = {"experiment": "bare", "searcher": "random", "seed": 0, "reference": {}, "trials": 0}
CONTENTS = {"result", "manifest", "content", "begun", "best", "certificate", "attempt", "baseline", "tests", "pair"}
"""What a variable is called that holds a record."""


def a_trial() -> Trial:
    evaluation = Evaluation({"top1_error": MetricValue(0.25, 0.01), "throughput_ips": MetricValue(9.0)})
    outcome = Outcome((0.25, -9.0), violations=(-1.0,))
    start = Suggestion(-1, {"keep": 0.5}, {"start": "int8", "given": True})
    return Trial(3, start, TrialState.COMPLETE, {"keep": 0.5}, None, evaluation, outcome, -0.5, seconds=2.0)


def test_a_comparison_is_the_same_text_after_it_was_read() -> None:
    text = json.dumps(example(failed="plain").to_json())
    read = ComparisonRecord.from_json(json.loads(text))
    assert json.dumps(read.to_json()) == text
    assert read == example(failed="plain")


def test_numbers_by_quantity_stand_among_the_keys_of_a_run() -> None:
    run = example().runs[0]
    data = run.to_json()
    assert list(data)[10:13] == ["stored", "score", "hypervolume"]
    assert "values" not in data
    assert RunRecord.from_json({**data, "remark": "of a newer moco"}) == run


def test_a_comparison_on_a_callable_has_no_network() -> None:
    assert {"network", "protocol"} & set(example(network=None).to_json()) == set()
    assert list(example(protocol="galen").to_json())[3:5] == ["network", "protocol"]


def test_a_trial_is_the_same_after_it_was_read() -> None:
    written = TrialRecord.of(a_trial(), ("top1_error", "throughput_ips"))
    assert (written.origin, written.given, written.feasible) == ("int8", True, True)
    assert written.metrics == {"top1_error": 0.25, "throughput_ips": 9.0}
    assert written.sems == {"top1_error": 0.01}
    assert written.row["loss.throughput_ips"] == -9.0
    read = TrialRecord.from_json(json.loads(json.dumps(written.to_json())))
    assert (read.to_json(), read.objectives) == (written.to_json(), ())


def test_errors_before_recovery_stand_in_the_evaluation_of_a_trial() -> None:
    trial = a_trial()
    assert trial.evaluation is not None
    scored = replace(trial.evaluation, details={"before_recovery": {"top1_error": 0.75, "top5_error": 0.5}})
    written = TrialRecord.of(replace(trial, evaluation=scored), ("top1_error", "throughput_ips"))
    read = TrialRecord.from_json(json.loads(json.dumps(written.to_json())))
    assert read.before_recovery == {"top1_error": 0.75, "top5_error": 0.5}
    assert (read.row["before_recovery.top1_error"], read.metrics["top1_error"]) == (0.75, 0.25)
    assert TrialRecord.of(trial).before_recovery == {}
    assert list(written.to_json()) == list(TrialRecord.of(trial).to_json())


def test_a_baseline_has_its_name_before_what_every_summary_has() -> None:
    baseline = Result.from_json(BARE | {"baselines": [{"name": "int8", "trial": 1}]}).baselines[0]
    assert isinstance(baseline, TrialSummary)
    assert list(baseline.to_json()) == ["name", "feasible", "score", "trial", "policy", "metrics", "losses"]


def test_what_an_older_result_does_not_say_is_absent() -> None:
    old = Result.from_json({**BARE, "cache": None, "hypervolume": None, "intervals": None, "unknown": 1})
    assert (old.best, old.certificate, old.starts, old.groups, old.seconds) == (None, None, (), (), {})
    assert (old.cache.hits, old.reference_point, old.intervals) == (None, None, {})
    assert Manifest.from_json({}).normalization is None
    assert Manifest.from_json({}).starts is None


def test_the_reference_point_may_be_losses_or_have_names() -> None:
    result = example_run.result(example_run.trials())
    assert Result.from_json(result).reference_point == (1.0, 1.0)
    assert Result.from_json(result | {"hypervolume": {"reference_point": [2, 1]}}).reference_point == (2.0, 1.0)
    assert Result.from_json(result | {"objectives": ["other"]}).reference_point is None


@pytest.mark.parametrize(("floor", "relative", "points"), [(0.9, None, False), (-0.02, None, True), (0.9, True, True)])
def test_an_older_certificate_is_in_points_unless_its_floor_is_an_accuracy(
    floor: float, relative: bool | None, points: bool
) -> None:
    assert CertificateRecord(floor=floor, relative=relative).in_points is points


@pytest.mark.parametrize("name", required(Result))
def test_a_result_without_what_it_must_have_is_none(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        Result.from_json({key: value for key, value in BARE.items() if key != name})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "expected an object of Result"),
        (BARE | {"trials": "many"}, "trials: expected int, got 'many'"),
        (BARE | {"baselines": {}}, "baselines: expected list, got {}"),
        (BARE | {"retimed": []}, "retimed: expected Mapping"),
        (BARE | {"best": 3}, "expected an object of Delivered, got 3"),
    ],
)
def test_a_value_of_another_type_is_named(data: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Result.from_json(data)


def test_nobody_reads_a_record_by_keys() -> None:
    modules = {name: text for name, text in sources().items() if not name.startswith("moco.run_folder.")}
    assert [fault for name, text in modules.items() for fault in by_key(name, text)] == []


def test_reading_by_key_is_found() -> None:
    text = "result['best']['metrics']\nmanifest.get('config') or {}\nother['best']\nfound = content['tests'].get(key)"
    assert list(by_key("m", text)) == ["m:1: result['best']", "m:2: manifest.get('config')", "m:4: content['tests']"]


def by_key(module: str, text: str) -> Iterator[str]:
    """Where a variable that holds a record is read like a dictionary, by one of the records' keys."""
    for node in ast.walk(ast.parse(text)):
        of, key = None, None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            of, key = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            of, key = node.func.value, node.args[0] if node.args else None
        known = isinstance(key, ast.Constant) and key.value in KEYS
        if known and isinstance(of, ast.Name) and of.id in CONTENTS:
            yield f"{module}:{node.lineno}: {ast.unparse(node)}"


def kinds(of: type[Record] = Record) -> Iterator[type[Record]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


KEYS = {field.name for kind in kinds() for field in fields(kind)}  # type: ignore[arg-type]
