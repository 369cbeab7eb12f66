"""No registered name stands outside its home, the registry, tests and texts for people."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest

from moco.metrics import ERRORS, METRICS
from moco.registry import BUILT_IN
from tests.import_rules import ROOT

SOURCES = ("moco", "searchers", "objectives", "hardware")


@dataclass(frozen=True)
class Kind:
    """A row of the table.

    Attributes:
        homes: files and folders where its names are at home; the module that the registry gives for a name is one too.
        allowed: (file, name) with the reason why a name stands there.
        names: all of the registry's of that kind where none are given.
    """

    kind: str
    homes: tuple[str, ...]
    allowed: dict[tuple[str, str], str] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def at_home(self, path: str, name: str) -> bool:
        """Whether the name may stand in the file without a reason."""
        module = BUILT_IN.get(self.kind, {}).get(name, "").partition(":")[0].replace(".", "/")
        own = re.sub(r"^moco/(?=searchers|objectives|hardware)", "", f"{module}.py")
        return path in {"moco/registry.py", own} or path.startswith((*self.homes, *EVERYWHERE))

    @property
    def wanted(self) -> tuple[str, ...]:
        """The names that are looked for."""
        return self.names or tuple(BUILT_IN[self.kind])


EVERYWHERE = (
    "moco/testing/",
    "moco/reproduction/",
    "moco/sweep/",
)
"""Suites are tests; the others are about published systems, by their words."""

DEFAULT_SPACE = "what moco.optimize does where nothing is asked for"
PAYOFF_WORDS = "the words of payoff.json for what the pay-off analysis tries"
FRONT = "the Pareto front: its section of the report, its figure, the run folder's front/"
LAYER_COUNT = "a count of one layer, not of a network"

KINDS = (
    Kind(
        "method",
        ("moco/compression/methods/",),
        {
            ("moco/app/optimize.py", "filter_pruning"): DEFAULT_SPACE,
            ("moco/app/optimize.py", "quantization"): DEFAULT_SPACE,
            ("moco/analysis/payoff/verdicts.py", "filter_pruning"): PAYOFF_WORDS,
            ("moco/analysis/payoff/verdicts.py", "factorisation"): PAYOFF_WORDS,
        },
    ),
    Kind(
        "ranking",
        ("moco/compression/rankings/",),
        {
            ("moco/app/optimize.py", "l1"): DEFAULT_SPACE,
            ("searchers/agents/layer_actions.py", "activation"): "an action of an agent: bits of activations",
        },
    ),
    Kind(
        "searcher",
        (),
        {
            ("moco/compression/rankings/weights.py", "random"): "the ranking of that name",
            ("moco/optional.py", "ax"): "the package",
            ("moco/optional.py", "botorch"): "the package",
            **{("hardware/packages.py", name): "the package, or the extra" for name in ("ax", "botorch", "cmaes")},
            ("searchers/greybox.py", "sobol"): "a stream of random numbers: another name, other suggestions",
        },
    ),
    Kind(
        "objective",
        (),
        {
            ("moco/report/front.py", "front"): FRONT,
            ("moco/report/front_table.py", "front"): FRONT,
            ("moco/report/page.py", "front"): FRONT,
            ("moco/report/stages_page.py", "front"): FRONT,
            ("moco/run/search.py", "front"): FRONT,
            ("moco/run_folder/network_file.py", "front"): FRONT,
            ("moco/run/starts.py", "front"): FRONT,
            ("moco/tracking/mlflow.py", "front"): FRONT,
        },
    ),
    Kind(
        "target",
        (),
        {
            ("moco/optional.py", "openvino"): "the package, and its extra",
            ("moco/optional.py", "tensorrt"): "the package, and its extra",
            ("hardware/execution_providers.py", "tensorrt"): "ONNX Runtime's provider of that name",
            ("moco/optional.py", "litert"): "the extra",
            ("moco/optional.py", "tvm"): "the package, and its extra",
            ("moco/run/job.py", "onnxruntime"): "the package, which calibrates on every target",
            ("moco/run/job.py", "torch"): "the package, which computes whatever the target is",
            ("hardware/packages.py", "torch"): "the package",
            ("hardware/litert_converter/environment.py", "torch"): "the package",
            ("hardware/tensorrt.py", "torch"): "the package, which reserves the device's memory",
            ("moco/export/template.py", "torch"): "the package's loggers, and its exporter's",
            ("moco/recovery/custom.py", "torch"): "the package",
        },
    ),
    Kind(
        "recovery_step",
        ("moco/recovery/",),
        {
            ("moco/export/folding.py", "batch_norm"): "the batch norm that is folded into a layer",
            ("hardware/onnx_network/layers.py", "batch_norm"): "torch's function",
        },
    ),
    Kind("counter", ()),
    Kind("guarantee", ("moco/metrics.py",), names=ERRORS),
    Kind(
        "metric",
        (
            "moco/metrics.py",
            "moco/readings.py",
            "moco/measurement.py",  # the series that metrics are taken from
            "moco/compression/costs.py",  # what is counted of a policy
            "objectives/accuracy_guaranteed.py",  # the resources of published formulas
            "objectives/resource_constrained.py",
            "objectives/galen.py",
            "objectives/hybrid.py",
            "objectives/two_stage.py",
            "objectives/front.py",
        ),
        {
            ("moco/evaluation/evaluator.py", "size_mb"): "where the size of a file is taken",
            ("moco/evaluation/builder.py", "parameters"): "the count that a network's tensors are checked against",
            ("moco/compression/space/network_space.py", "macs"): LAYER_COUNT,
            ("searchers/agents/layer_states.py", "macs"): LAYER_COUNT,
            ("searchers/agents/layer_states.py", "bops"): LAYER_COUNT,
            **{("searchers/agents/published_states.py", name): LAYER_COUNT for name in ("macs", "bops", "flops")},
        },
        tuple(name for name in METRICS if name not in ERRORS),
    ),
)


@cache
def words_of(text: str) -> tuple[tuple[int, str], ...]:
    """Line and word of each name in code: attributes, keywords, and strings that are no prose."""
    return tuple(_words(ast.parse(text)))


def _words(tree: ast.Module) -> Iterator[tuple[int, str]]:
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.lineno, f".{node.attr}"
        elif isinstance(node, ast.keyword) and node.arg is not None:
            yield node.value.lineno, f".{node.arg}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            words = re.split(r"[^\w-]+", node.value) if not re.search(r"\s", node.value.strip()) else ()
            yield from ((node.lineno, word) for word in words)


def strays(row: Kind, texts: dict[str, str]) -> list[str]:
    """`file:line: name` of each name of a kind that is not at home; of single words only methods as attributes."""
    attributes = {f".{name}": name for name in row.wanted if "_" in name or row.kind == "method"}
    wanted = {**attributes, **{name: name for name in row.wanted}}
    return [
        f"{path}:{line}: {wanted[word]}"
        for path, text in sorted(texts.items())
        for line, word in words_of(text)
        if word in wanted and not row.at_home(path, wanted[word]) and (path, wanted[word]) not in row.allowed
    ]


def sources() -> dict[str, str]:
    """Source text by path; links to the plug-in folders are not followed."""
    paths = (path for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))
    real = {path.relative_to(ROOT).as_posix(): path for path in paths if not _is_linked(path)}
    return {name: path.read_text(encoding="utf-8") for name, path in real.items()}


def _is_linked(path: Path) -> bool:
    return any(folder.is_symlink() for folder in path.parents)


@pytest.mark.parametrize("row", KINDS, ids=lambda row: row.kind)
def test_a_registered_name_stands_at_home_only(row: Kind) -> None:
    assert strays(row, sources()) == []


@pytest.mark.parametrize("row", KINDS, ids=lambda row: row.kind)
def test_every_allowance_is_needed(row: Kind) -> None:
    bare = replace(row, allowed={})
    found = {(line.split(":")[0], line.rpartition(" ")[2]) for line in strays(bare, sources())}
    assert set(row.allowed) <= found


def test_a_name_is_found_however_it_is_written() -> None:
    text = '''"""All about sparsity."""
a = space.sparsity
b = {"sparsity": 1}["sparsity"]
c = f"space.sparsity.{key}"
d = call(sparsity=1)
e = "sparsity in a sentence for people"
'''
    lines = sorted(line.split(":")[1] for line in strays(KINDS[0], {"moco/x.py": text}))
    assert lines == ["2", "3", "3", "4", "5"]
    assert strays(KINDS[0], {"moco/registry.py": text, "moco/compression/methods/x.py": text}) == []
