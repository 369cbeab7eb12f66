"""The pages docs/adding_….md: what each shows is installed as it stands, put to its contract suite, searched with."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from moco import registry
from tests.app.tiny import moco, one_line, read, write
from tests.docs.conftest import FLOOR, experiment_with, searched
from tests.docs.pages import DOCS, Example

PAGES = {
    "adding_a_searcher.md": "searcher",
    "adding_an_objective.md": "objective",
    "adding_a_target.md": "target",
    "adding_a_recovery_step.md": "recovery_step",
    "adding_a_counter.md": "counter",
    "adding_a_method.md": "method",
    "adding_a_ranking.md": "ranking",
}


def test_there_is_a_page_for_every_kind_and_it_can_be_found() -> None:
    assert sorted(PAGES.values()) == sorted(registry.BUILT_IN)
    assert set(PAGES) == {path.name for path in DOCS.glob("adding_*.md")}
    for index in (DOCS / "README.md", DOCS.parent / "mkdocs.yml", DOCS.parent / "CONTRIBUTING.md"):
        assert [page for page in PAGES if page not in index.read_text(encoding="utf-8")] == [], index


def test_a_step_that_is_not_installed_is_unknown(tmp_path: Path) -> None:
    line = one_line(moco("search", write(tmp_path / "tiny.yaml", recovery=["output_bias"])), 2)
    assert "got 'output_bias'" in line


@pytest.mark.parametrize("example", PAGES, indirect=True)
class TestEachPage:
    @pytest.mark.slow
    def test_its_example_passes_the_suite_as_the_page_says(self, example: Example) -> None:
        found: dict[str, Any] = {}
        exec(compile(example.test, f"the test of {example.name}", "exec"), found)
        test = found["test_it_holds_to_its_contract"]
        [mark] = test.pytestmark
        assert len(mark.args[1]) > 4
        for check in mark.args[1]:
            test(check)

    @pytest.mark.slow
    def test_a_search_takes_it(self, example: Example, tmp_path: Path) -> None:
        experiment = experiment_with(example)
        if example.kind == "counter":  # this machine has no sensor: a file stands for one, of a constant power
            sensor = tmp_path / "hwmon0" / "power1_input"
            sensor.parent.mkdir()
            sensor.write_text("20000000\n")
            choice = {"name": example.name, "root": str(tmp_path), "tick_s": 0.0001}
            experiment["target"]["counters"] = [choice]
            experiment["objective"] |= {"floor": FLOOR["floor"], "weights": {"power_w": 1, "size_mb": 1}}
        run = searched(experiment, tmp_path)
        kept = yaml.safe_load((run / "experiment.yaml").read_text(encoding="utf-8"))
        if example.kind != "counter":
            section = {"recovery_step": "recovery", "method": "space", "ranking": "space"}.get(
                example.kind, example.kind
            )
            assert part_of(kept[section], example.yaml[section]), kept[section]
        SEEN[example.kind](run)


def part_of(kept: Any, given: Any) -> bool:
    """Whether an experiment as it was kept has all that was given."""
    if not isinstance(given, dict):
        return bool(kept == given)
    return all(name in kept and part_of(kept[name], value) for name, value in given.items())


def searcher_seen(run: Path) -> None:
    assert read(run / "result.json")["searcher"] == "hill_climb"


def objective_seen(run: Path) -> None:
    with (run / "trials.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            accuracy, latency = 1 - float(row["loss.top1_error"]), float(row["loss.cost"])
            assert float(row["score"]) == pytest.approx(accuracy * (latency / 0.5) ** -0.07)
    assert "0.5 times the latency" in (run / "report.html").read_text(encoding="utf-8")


def target_seen(run: Path) -> None:
    """What the search says of its target is the target's, and its snippet runs."""
    manifest = read(run / "manifest.json")
    assert manifest["hardware"]["runtime"] == "numpy"
    assert list(manifest["config"]["target"]) == ["runtime", "verbose", "timing"]
    assert {"onnx", "numpy"} <= set(manifest["versions"])
    card = (run / "best" / "card.md").read_text(encoding="utf-8")
    page = (run / "report.html").read_text(encoding="utf-8")
    code = card.split("```python\n")[1].split("```")[0]
    assert 'ReferenceEvaluator("model.onnx")' in code
    assert "ReferenceEvaluator(&quot;best/model.onnx&quot;)" in page or 'ReferenceEvaluator("best/model.onnx")' in page
    subprocess.run([sys.executable, "-c", code], cwd=run / "best", check=True, timeout=120)
    # ONNX Runtime calibrates, so its version is among those that the bytes depend on; nothing else may name it.
    named = [line.split(":")[0] for line in card.splitlines() if re.search("onnx ?runtime", line, re.IGNORECASE)]
    assert named == ["- Versions"]
    assert "InferenceSession" not in page


def recovery_step_seen(run: Path) -> None:
    assert read(run / "result.json")["seconds"]["recover"] > 0


def counter_seen(run: Path) -> None:
    assert read(run / "manifest.json")["hardware"]["counters"] == [{"counter": "hwmon", "tick_s": 0.0001}]
    assert read(run / "result.json")["best"]["metrics"]["power_w"] == pytest.approx(20.0, rel=0.2)


def method_seen(run: Path) -> None:
    assert "shared values" in (run / "report.html").read_text(encoding="utf-8")
    assert "shared_weights" in str(read(run / "result.json"))


def ranking_seen(run: Path) -> None:
    named = {"name": "activation_variance", "power": 0.5}
    assert read(run / "best" / "policy.json")["ranking"] == named


SEEN = {kind: globals()[f"{kind}_seen"] for kind in PAGES.values()}
"""By kind, what a run folder must show of the example."""
