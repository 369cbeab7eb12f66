"""The front as a table: a row a network, what is not known is empty."""

from __future__ import annotations

from dataclasses import replace

import pytest

from moco.report.front_table import front_page, front_table
from moco.run_folder.reading import RunFolder, read_run
from tests.report.example_run import write_example


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return read_run(write_example(tmp_path_factory.mktemp("example")))


def test_each_network_of_the_front_and_each_start_stands_once(run: RunFolder) -> None:
    rows = front_table(run)
    numbers = [row["trial"] for row in rows]

    assert len(numbers) == len(set(numbers))
    assert {row["trial"] for row in rows if row["on front"]} == {entry.trial for entry in run.result.front}
    assert [row["role"] for row in rows[:2]] == ["chosen", "front"]
    assert rows[-1]["role"] == "reference"
    starts = {entry.name for entry in run.result.baselines}
    assert {row["origin"] for row in rows if row["role"] == "start"} <= starts


def test_a_row_says_policy_metrics_with_intervals_evidence_and_file(run: RunFolder) -> None:
    assert run.result.best is not None
    chosen = front_table(run)[0]

    assert chosen["origin"] == "nsga2"
    assert "% channels" in chosen["policy"]
    assert chosen["top-1 (%)"] == pytest.approx(100 * (1 - run.result.best.metrics["top1_error"]))
    assert chosen["latency 95 %"].startswith("[0.")
    assert (chosen["feasible"], chosen["certified"], chosen["file"]) == (True, True, "best/model.onnx")


def test_files_are_named_in_the_form_of_their_target(run: RunFolder) -> None:
    chosen, other, *_ = front_table(replace(run, file="model.tflite"))
    assert chosen["file"] == "best/model.tflite"
    assert other["file"] == f"front/{other['trial']}/model.tflite"


def test_certified_is_empty_for_what_was_not_tested_and_false_for_what_did_not_hold(run: RunFolder) -> None:
    certificate = run.result.certificate
    assert certificate is not None
    tested = {attempt.trial: attempt.holds for attempt in certificate.attempts}
    rows = {row["trial"]: row["certified"] for row in front_table(run)}
    assert rows == {number: tested.get(number) for number in rows}
    assert set(rows.values()) == {True, False, None}


def test_without_a_network_there_is_the_reference_alone_and_no_page(run: RunFolder) -> None:
    nothing = replace(run.result, best=None, front=(), baselines=(), certificate=None)
    [reference] = front_table(replace(run, result=nothing, trials=()))

    assert (reference["role"], reference["trial"], reference["file"]) == ("reference", None, None)
    assert front_page(replace(run, result=nothing, trials=())) is None


def test_the_page_is_complete_in_itself(run: RunFolder) -> None:
    page = front_page(run)
    assert page is not None
    assert "The front of resnet20_cifar10_accuracy_guaranteed" in page
    assert "<script src" not in page
