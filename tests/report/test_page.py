"""The page: every section in its order, absent values named, nothing from a run becomes markup or is fetched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from moco.errors import RunFolderError
from moco.report.page import write_report
from tests.report.example_run import write_example

ORDER = [
    *("verdict", "comparison", "front", "anytime", "importance", "policy", "seconds"),
    *("certificate", "deploy", "reproduce", "warnings", "trials"),
]


ORDERED = ("model.onnx", "network.safetensors", "policy.json", "certificate.json", "card.md")


class Page(HTMLParser):
    """What the page is made of: sections, plots, references to elsewhere, and its text without scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections: list[str] = []
        self.plots: list[str] = []
        self.references: list[str] = []
        self.styles, self.text, self._inside = "", "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._inside = tag
        if tag == "section":
            self.sections.append(str(given["id"]))
        if given.get("class") == "plot":
            self.plots.append(str(given["id"]))
        self.references += [str(given[name]) for name in ("src", "href", "srcset", "data", "action") if name in given]

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.styles += data
        elif self._inside != "script":
            self.text += data


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_example(tmp_path / "run")


def change(run: Path, name: str, edit: Callable[[Any], object]) -> None:
    data = json.loads((run / name).read_text())
    edit(data)
    (run / name).write_text(json.dumps(data))


def page_of(run: Path) -> Page:
    return Page(write_report(run).read_text(encoding="utf-8"))


def test_every_section_stands_in_its_order(run: Path) -> None:
    assert page_of(run).sections == ORDER


def test_every_figure_of_a_full_run_is_there(run: Path) -> None:
    fronts = ["front-cost", "front-latency_ms", "front-throughput_ips", "front-size_mb"]
    assert page_of(run).plots == [*fronts, "score", "hypervolume", "policy-chart", "seconds-chart"]


def test_nothing_refers_to_elsewhere(run: Path) -> None:
    page = page_of(run)
    assert [name for name in page.references if not name.startswith(("#", "best/"))] == []
    assert "url(" not in page.styles
    assert "@import" not in page.styles


def test_the_files_that_are_there_are_linked_to(run: Path) -> None:
    linked = [name for name in page_of(run).references if name.startswith("best/")]
    assert linked == [f"best/{name}" for name in ORDERED if (run / "best" / name).is_file()]

    (run / "best").mkdir(exist_ok=True)
    for name in ORDERED:
        (run / "best" / name).write_bytes(b"")
    assert [name for name in page_of(run).references if name.startswith("best/")] == [
        f"best/{name}" for name in ORDERED
    ]


def test_no_value_is_shown_as_python_writes_it(run: Path) -> None:
    hashes = {"train": "6c65", "test": "ab12"}
    change(run, "manifest.json", lambda manifest: manifest["data"].update(hash=hashes))
    change(run, "manifest.json", lambda manifest: manifest.update(versions={"torch": "2.6", "all": {"a": [1, True]}}))
    text = page_of(run).text
    assert "train: 6c65, test: ab12" in text
    assert not re.search(r"\{'|': |True|None", text)


def test_classes_are_shown_by_name_the_one_that_lost_most_first(run: Path) -> None:
    classes = [{"label": 0, "images": 40, "reference": 0.9, "network": 0.9}]
    classes += [{"label": 2, "images": 1200, "reference": 0.875, "network": 0.75}]
    change(run, "result.json", lambda result: result.update(per_class=classes, description={"classes": ["cat", "dog"]}))
    text = " ".join(page_of(run).text.split())
    assert "Accuracy by class" in text
    assert text.index("21,20087.5 %75.0 %-12.5 pp") < text.index("cat4090.0 %90.0 %+0.0 pp")


def test_on_paper_the_experiment_is_left_out(run: Path) -> None:
    text = write_report(run).read_text(encoding="utf-8")
    assert '<details class="on-screen"><summary>Resolved experiment</summary>' in text
    assert ".on-screen { display: none; }" in text.partition("@media print")[2]


def test_the_plotting_library_is_inside_once(run: Path) -> None:
    text = write_report(run).read_text(encoding="utf-8")
    assert len(re.findall(r"\* plotly\.js v", text)) == 1
    assert len(text) < 7_000_000


def test_text_of_a_run_never_becomes_markup(run: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=//x>"
    change(run, "trials.json", lambda trials: [trial.update(origin=evil, reason=evil) for trial in trials])
    change(run, "result.json", lambda result: result.update(experiment=evil, warnings=[evil], searcher=evil))
    change(run, "result.json", lambda result: result["baselines"][1].update(name=evil))
    change(run, "manifest.json", lambda manifest: manifest["network"]["layers"][0].update(name=evil))
    text = write_report(run).read_text(encoding="utf-8")
    assert "alert(1)</script>" not in text
    assert "<img src=//x>" not in text
    assert [name for name in page_of(run).references if not name.startswith(("#", "best/"))] == []


def test_absent_values_are_shown_as_not_available(run: Path) -> None:
    change(run, "result.json", lambda result: result["best"]["metrics"].update(size_mb=None, energy_j=None))
    change(run, "result.json", lambda result: result["certificate"].update(estimate=None, images=None))
    change(run, "result.json", lambda result: result.update(cache=None, hypervolume=None, retimed=None, intervals=None))
    text = page_of(run).text
    assert "n/a" in text
    assert "None" not in text


def test_a_best_effort_is_named_on_the_page(run: Path) -> None:
    change(run, "result.json", lambda result: result.update(exit="infeasible", feasible=0, certificate=None))
    page = page_of(run)
    assert "No feasible network in 30 trials; best effort" in page.text.replace("\u00a0", " ")
    assert "best effort" in page.text


def test_a_search_that_built_nothing_still_has_a_page(run: Path) -> None:
    nothing = {"best": None, "front": [], "feasible": 0, "certificate": None, "baselines": [], "hypervolume": None}
    change(run, "result.json", lambda result: result.update(nothing))
    (run / "trials.json").write_text("[]")
    page = page_of(run)
    assert [name for name in ORDER if name not in page.sections] == ["policy", "deploy"]
    assert "No network could be built" in page.text


def test_without_baselines_the_page_says_so(run: Path) -> None:
    change(run, "result.json", lambda result: result.update(baselines=[]))
    assert "no baselines" in page_of(run).text


def test_one_objective_has_no_hypervolume(run: Path) -> None:
    one = {"objectives": ["top1_error"], "hypervolume": None}
    change(run, "result.json", lambda result: result.update(one))
    change(run, "trials.json", lambda trials: [trial.update(losses=trial["losses"][:1]) for trial in trials])
    plots = page_of(run).plots
    assert "hypervolume" not in plots
    assert plots[0] == "front-latency_ms"


def test_only_what_is_required_is_enough(run: Path) -> None:
    bare = {"experiment": "bare", "searcher": "random", "seed": 0, "reference": {}, "trials": 0, "best": None}
    (run / "result.json").write_text(json.dumps(bare))
    (run / "manifest.json").write_text("{}")
    (run / "trials.json").write_text("[]")
    assert "bare" in page_of(run).text


@pytest.mark.parametrize("name", ["result.json", "manifest.json", "trials.json", "experiment.yaml"])
def test_a_missing_file_is_named(run: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(RunFolderError, match=rf"{re.escape(name)} is missing"):
        write_report(run)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("result.json", "{", "not valid JSON"),
        ("result.json", "[]", "expected a JSON object, got list"),
        ("result.json", "{}", "key 'experiment' is missing"),
        ("trials.json", "{}", "expected a list of trials, got dict"),
        ("trials.json", '[{"state": "complete"}]', "entry 0 is not a trial .*number"),
        ("manifest.json", '{"network": 3}', "not what a search writes"),
    ],
)
def test_a_malformed_file_ends_in_one_clear_line(run: Path, name: str, content: str, words: str) -> None:
    (run / name).write_text(content)
    with pytest.raises(RunFolderError, match=words) as caught:
        write_report(run)
    assert "\n" not in str(caught.value)


def test_no_folder_no_report(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="expected a run folder, found nothing"):
        write_report(tmp_path / "absent")


def test_the_parameters_stand_with_importance_and_correlation(run: Path) -> None:
    text = page_of(run).text
    assert "What decided the score" in text
    assert text.count(".keep") >= 9
    assert re.search(r"layer\d\.\d\.keep\d+\.\d %[+−-]0\.\d\d \[", text)


def test_a_search_that_is_too_short_says_why_no_parameter_is_judged(run: Path) -> None:
    change(run, "trials.json", lambda trials: trials.__delitem__(slice(3, None)))
    assert "4 distinct networks are needed, found 3" in page_of(run).text
