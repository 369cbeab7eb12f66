"""A user's mistakes: each ends in one line that says where, with exit code 2 or 1, and nothing finished is lost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.distributions import FloatDistribution
from safetensors.torch import load_file, save_file

from moco.evaluation.evaluator import Evaluator
from moco.interfaces import SearcherCapabilities
from moco.registry import BUILT_IN
from moco.searchers.random import RandomSearcher
from moco.space import SearchSpace
from moco.strategy import Strategy, slow_strategies
from tests.app.tiny import moco, one_line, read

OWN = '''
import torch
from torch import nn

from torch.utils.data import TensorDataset


class Branching(nn.Module):
    """Its graph depends on the data."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3), nn.Conv2d(1, 8, 3)
        self.linear = nn.Linear(8, 10)

    def forward(self, images):
        features = self.conv1(images) if images.sum() > 0 else self.conv2(images)
        return self.linear(features.mean((2, 3)))


def broken():
    raise KeyError("channels")


def number():
    return 7


def sets(train=20, test=600, classes=10, size=8):
    def one(count):
        return TensorDataset(torch.rand(count, 1, size, size), torch.arange(count) % classes)

    return one(train), one(test)


def empty():
    return sets(train=0)


def other_sizes():
    return sets()[0], sets(size=9)[1]


def other_classes():
    return sets(train=100, test=600, classes=12)


def one_set():
    return sets()[0]


def nan():
    train, test = sets(train=100)
    return TensorDataset(train.tensors[0] * float("nan"), train.tensors[1]), test
'''


@pytest.fixture
def refused(experiment: Any, tmp_path: Path) -> Any:
    """Searches a tiny experiment with something wrong and gives the one line that comes of it."""

    def line(*options: str, exit_code: int = 2, **sections: Any) -> str:
        path = experiment(**sections)
        out = tmp_path / "run"
        text = one_line(moco("search", path, "--out", out, *options), exit_code)
        assert not (out / "study.db").exists()
        return text

    return line


@pytest.fixture
def own(tmp_path: Path) -> None:
    """A module of the user's beside the experiment."""
    (tmp_path / f"own_{abs(hash(tmp_path))}.py").write_text(OWN, encoding="utf-8")


def module(tmp_path: Path) -> str:
    return f"own_{abs(hash(tmp_path))}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"tiny\.yaml: no such file"),
        ("", r"tiny\.yaml: expected a mapping .*got an empty file"),
        ("- a\n- b\n", r"tiny\.yaml: expected a mapping .*got a list"),
        ("name: [1, 2\nseed: 0\n", r"tiny\.yaml, line 2, column \d+: not valid YAML"),
        ("name: \x07bell\n", r"tiny\.yaml: not valid YAML"),
        ("seed: 0\nseed: 1\n", r"tiny\.yaml, line 2: the key 'seed' stands in line 1 already"),
        (
            "model: !!python/object/apply:os.system [true]\n",
            r"tiny\.yaml, line 1.*the tag '!!python/object/apply:os\.system' is not taken",
        ),
    ],
)
def test_a_missing_or_malformed_file(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "tiny.yaml").write_text(text, encoding="utf-8")
    assert re.search(message, one_line(moco("search", tmp_path / "tiny.yaml"), 2))


def test_a_binary_file_or_a_folder_in_place_of_the_experiment(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in one_line(moco("search", tmp_path / "tiny.yaml"), 2)
    assert str(tmp_path) in one_line(moco("search", tmp_path), 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("budget.trails=5", r"^budget\.trails: unknown key.*trials"),
        ("spce={}", r"^spce: unknown key.*space"),
        ("searcher.poplation=5", r"^searcher\.poplation: unknown key"),
        ("searcher.name=nsga-2", r"^searcher\.name: .*nsga2"),
        ("objective={protocol: galen, traget: 0.3}", r"^objective\.traget: unknown key; did you mean 'target'"),
        ("objective={protocol: galen, target: 30}", r"^objective\.target: expected a cost ratio in \(0, 1\], got 30"),
        ("objective={protocol: galen, metric: energy_j}", r"^objective\.metric: this machine cannot measure energy_j"),
        ("objective={protocol: hybrid, target: soon}", r"^objective\.target: expected 'NUMBER\[unit or x\]'"),
        ("objective={protocol: two-stage, reward: r3}", r"^objective\.reward: expected 'r1' or 'r2'"),
        ("objective={protocol: front, objectives: {top1: minimize}}", r"^objective\.objectives: .*'top1_error'"),
        ("objective.protocol=accuracy", r"^objective\.protocol: .*accuracy-guaranteed"),
        ("target.runtime=onnx", r"^target\.runtime: .*onnxruntime"),
        ("model.name=digit_resnet", r"^model\.name: .*digits_resnet"),
        ("model.options={shortct: B}", r"^model\.shortct: .*shortcut"),
        ("model.options={num_classes: 3}", r"^model\.options\.num_classes: "),
        ("budget.trials=many", r"^budget\.trials: expected .*whole number"),
        ("budget.trials=0", r"^budget\.trials: "),
        ("budget.seconds=1e3", r"^budget\.seconds: '1e3' arrived as text; YAML wants 1\.0e\+3"),
        ("budget.seconds=-1", r"^budget\.seconds: "),
        ("seed=-1", r"^seed: "),
        ("seed=yes", r"^seed: "),
        ("model.train={learning_rate: 3e-4}", r"'3e-4' arrived as text; YAML wants 3\.0e-4"),
        ("space.filter_pruning.keep=[0.9, 0.3]", r"^space\.filter_pruning\.keep: "),
        ("space.filter_pruning.keep=[0, 1]", r"^space\.filter_pruning\.keep\[0\]: "),
        ("space.groups={stage: ['no.such.*']}", r"^space\.groups.*no\.such"),
        ("space.groups=per-stages", r"^space\.groups: .*per-stage"),
        ("space.ignore=['nothing.*']", r"^space\.ignore.*nothing"),
        ("space.quantization.precision=[int4]", r"^space\.quantization\.precision"),
        ("objective.floor=-200 pp", r"^objective\.floor: expected between -100 and \+100"),
        ("objective.floor=2 pp", r"^objective\.floor: write '-2 pp'"),
        ("objective.floor='>= 110 %'", r"^objective\.floor: "),
        ("objective.floor={value: '-2 pp', confidence: 95}", r"^objective\.floor\.confidence: "),
        ("objective.weights={latency_ms: -1}", r"^objective\.weights\.latency_ms: "),
        ("objective.weights={latencyms: 1}", r"^objective\.weights.*latency_ms"),
        ("objective.weights={energy_j: 1, size_mb: 1}", r"^objective\.weights\.energy_j: .*drop_unmeasurable"),
        ("objective.constraints={latencyms: '<= 1x'}", r"^objective\.constraints.*latency_ms"),
        ("objective.constraints={energy_j: '<= 0.5x'}", r"^objective\.constraints\.energy_j: .*cannot measure"),
        ("objective.constraints={size_mb: 'at most 1'}", r"^objective\.constraints\.size_mb: "),
        ("objective.constraints={size_mb: '<= -1'}", r"^objective\.constraints\.size_mb: "),
        ("data.splits.search=5000", r"search.*797|797.*search"),
        ("data.splits.certification=5000", r"797"),
        ("data.splits.calibration=5000", r"1,?000"),
        ("data.splits.search=797", r"certification"),
        ("data.source=digit", r"^data\.source: .*digits"),
        ("data.source=python", r"^data\.source: .*moco\.optimize"),
        ("data.normalize={mean: [0.5, 0.5], std: [1, 1]}", r"^data\.normalize: 2 means .*1 channels"),
        ("certificate.confidence=95", r"^certificate\.confidence: "),
        ("tracking.storage=sqlite", r"^tracking\.storage: .sqlite. cannot be used"),
        ("model.import=os:system", r"^model: expected either 'name' or 'import'"),
        ("data.import=os:getcwd", r"^data: source 'import' and the key 'import' belong together"),
        ("budget", r"^--set budget: expected key=value"),
        ("budget.trials.most=3", r"^--set budget\.trials\.most=3: "),
        ("budget.trials=[", r"^--set budget\.trials=\[.*not valid YAML"),
    ],
)
def test_a_wrong_key_or_value_is_named(refused: Any, change: str, message: str) -> None:
    assert re.search(message, refused("--set", change))


class Numeric(RandomSearcher):
    """Takes numbers alone."""

    capabilities = SearcherCapabilities(categorical=False, max_trials=50)


def test_more_trials_than_a_searcher_is_made_for_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILT_IN["searcher"], "own", f"{__name__}:Numeric")
    space = SearchSpace({"keep": FloatDistribution(0.1, 1.0)})
    own = [Strategy("searcher", "own", None)]
    assert slow_strategies(own, space, 50) == []
    assert slow_strategies(own, space, 51) == [
        "budget.trials: 51 is more than the 50 that 'own' is made for; it becomes slow"
    ]


def test_an_option_that_has_no_effect_is_told(experiment: Any, tmp_path: Path) -> None:
    path = experiment(searcher={"name": "ppo", "bounds": "shrink", "start": "reference"}, budget={"trials": 1})
    done = moco("search", path, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    (warning,) = (text for text in read(tmp_path / "run" / "result.json")["warnings"] if "no effect" in text)
    assert warning.startswith("searcher.bounds: 'shrink' has no effect: no bound is '<=' on a cost that the space")
    assert f"warning: {warning}" in " ".join(done.stdout.split())


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.slow
def test_a_reference_at_chance_level_is_told_before_the_search(experiment: Any, tmp_path: Path, trained: bool) -> None:
    model = {} if trained else {"model": {"name": "digits_resnet"}}
    path = experiment(**model, searcher={"name": "random", "start": "reference"}, budget={"trials": 1})
    done = moco("search", path, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    result = read(tmp_path / "run" / "result.json")
    told = [text for text in result["warnings"] if "the reference gets only" in text]
    assert len(told) == (not trained)
    promised = [text for text in result["warnings"] if "every network meets" in text]
    assert len(promised) == (not trained)
    assert ("with any top-1 accuracy" in result["objective"]["text"]) == (not trained)
    before_the_search, _, _ = " ".join(done.stdout.split()).partition("1/1 done")
    assert [before_the_search.count(f"warning: {text}") for text in told] == [1] * len(told)


def test_a_searcher_that_does_not_fit_is_refused_before_the_reference_is_built(
    refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("the reference was built")

    monkeypatch.setitem(BUILT_IN["searcher"], "own", f"{__name__}:Numeric")
    monkeypatch.setattr(Evaluator, "__init__", never)
    line = refused(searcher={"name": "own"})
    assert re.search(
        r"^searcher\.name: 'own' does not fit this problem: it takes no categorical parameters, the space has "
        r"'[\w.]+\.precision'; choose another one, such as nsga2$",
        line,
    ), line


def test_a_model_whose_graph_cannot_be_traced(refused: Any, own: None, tmp_path: Path) -> None:
    model = {"name": None, "import": f"{module(tmp_path)}:Branching"}
    line = refused("--allow-import", exit_code=1, model=model)
    assert "the network cannot be traced" in line
    assert re.search(r"line \d+, in forward: features = self\.conv1", line)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "KeyError: 'channels'"),
        ("number", "gave a int, expected a torch.nn.Module"),
        ("missing", "has no 'missing'"),
    ],
)
def test_a_model_of_the_users_own_that_is_none(
    refused: Any, own: None, tmp_path: Path, name: str, message: str
) -> None:
    model = {"name": None, "import": f"{module(tmp_path)}:{name}"}
    assert message in refused("--allow-import", model=model)
    assert "--allow-import" in refused(model=model)


@pytest.mark.parametrize(
    ("name", "exit_code", "message"),
    [
        ("empty", 1, r"\(train\).* empty"),
        ("other_sizes", 1, r"\(1, 8, 8\).*\(1, 9, 9\)"),
        ("other_classes", 1, "12 classes"),
        ("one_set", 2, r"^data\.import: .*expected \(training set, test set\)"),
        ("nan", 1, r"data\.import 'own_.*:nan' \(train\), row 0: the image holds values that are not finite"),
        ("broken", 2, r"^data\.import: .*KeyError: 'channels'"),
    ],
)
def test_an_empty_or_mismatched_data_set(
    refused: Any, own: None, weights: Path, tmp_path: Path, name: str, exit_code: int, message: str
) -> None:
    data = {"source": "import", "import": f"{module(tmp_path)}:{name}"}
    line = refused(
        "--allow-import", exit_code=exit_code, data=data,
        model={"name": "digits_resnet", "weights": str(weights), "num_classes": 10},
    )  # fmt: skip
    assert re.search(message, line), line


def test_weights_that_do_not_fit(refused: Any, weights: Path, tmp_path: Path) -> None:
    tensors = load_file(weights)
    path = tmp_path / "bad.safetensors"

    def told(model: dict[str, Any]) -> str:
        text: str = refused(model=model)
        assert text.startswith("model.weights: "), text
        return text

    model = {"name": "digits_resnet", "weights": str(path)}
    assert "no such file" in told(model)
    path.write_bytes(b"not safetensors")
    assert "not a readable safetensors file" in told(model)
    save_file({name: tensor for name, tensor in tensors.items() if name != "linear.weight"}, path)
    assert "1 missing (linear.weight)" in told(model)
    save_file({**tensors, "linear.weight": torch.zeros(5, 64)}, path)
    assert "linear.weight expected (10, 64), got (5, 64)" in told(model)
    save_file({**tensors, "linear.bias": torch.full((10,), float("nan"))}, path)
    assert "not finite (linear.bias)" in told(model)
    assert "pickled weights are never read" in told({**model, "weights": "model.pt"})


def test_a_data_set_with_more_classes_than_the_network(refused: Any) -> None:
    model = {"name": "digits_resnet", "num_classes": 5, "train": {"epochs": 1}}
    assert "10 classes" in refused(exit_code=1, model=model)


def test_a_network_for_other_images(refused: Any) -> None:
    assert "(1, 8, 8)" in refused(exit_code=1, model={"name": "cifar_resnet20"})


def test_a_missing_or_malformed_parquet_file(refused: Any, tmp_path: Path) -> None:
    data = {"source": "parquet", "train": "none.parquet", "test": "none.parquet"}
    assert "none.parquet" in refused(exit_code=1, data=data)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    assert "bad.parquet" in refused(exit_code=1, data={**data, "train": "bad.parquet"})
    assert re.search(r"^data\.(train|test)", refused(data={"source": "parquet"}))


def test_a_run_folder_that_cannot_be_written(experiment: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/moco/run")):
        line = one_line(moco("search", experiment(), "--out", out), 2)
        assert line.startswith(f"{out}: the run folder cannot be written")


def test_a_ledger_that_is_something_else(experiment: Any, tmp_path: Path) -> None:
    run = tmp_path / "broken"
    run.mkdir()
    (run / "study.db").write_bytes(b"this is no database" * 100)
    line = one_line(moco("search", experiment(), "--out", run, "--resume"), 2)
    assert "study.db" in line
    assert (run / "study.db").read_bytes() == b"this is no database" * 100


@pytest.mark.parametrize(
    "said",
    [{"weights": None}, {"weights": {"energy_j": 1, "size_mb": 1}, "drop_unmeasurable": True}],
    ids=["default", "said"],
)
def test_a_metric_that_cannot_be_measured_is_left_out(experiment: Any, tmp_path: Path, said: dict[str, Any]) -> None:
    path = experiment(objective={"floor": "-90 pp", **said}, budget={"trials": 1})
    done = moco("search", path, "--out", tmp_path / "run")
    assert done.exit_code == 0
    assert "warning: objective.weights.energy_j: this machine cannot measure energy_j" in done.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "expected a policy in JSON"),
        ("{", "expected a policy in JSON"),
        ('{"groups": {}}', "expected {'format': 1"),
        ('{"format": 2, "network": "digits_resnet", "groups": {}}', "format: expected 1, got 2"),
        ('{"format": 1, "ranking": 7, "groups": {}}', "ranking: expected a name or {name: …, option: value}, got 7"),
        ('{"format": 1, "groups": {"layer9": {"precision": "int8"}}}', "no layer 'layer9'"),
        ('{"format": 1, "groups": {"conv1": {"precision": "int3"}}}', "groups.conv1.precision: expected one of"),
        ('{"format": 1, "groups": {"conv1": {"filter_pruning": {"keep": 0, "of": 32}}}}', "1 <= k <= n"),
        ('{"format": 1, "groups": {"conv1": {"filter_pruning": {"keep": 8, "of": 64}}}}', "another network"),
        ('{"format": 1, "groups": {"conv1": {}, "conv1": {}}}', "'conv1' stands there twice"),
        ('{"format": 1, "groups": ' + "[" * 100_000, "expected a policy in JSON"),
        ('{"format": 1, "ranking": "fisher", "groups": {}}', "ranked by 'fisher', here they are by 'l1'"),
        (
            '{"format": 1, "network": "resnet18", "groups": {}}',
            "of the network 'resnet18', this one is 'digits_resnet'",
        ),
    ],
)
@pytest.mark.slow
def test_a_policy_that_does_not_fit(experiment: Any, tmp_path: Path, text: str | None, message: str) -> None:
    policy = tmp_path / "policy.json"
    if text is not None:
        policy.write_text(text, encoding="utf-8")
    arguments = (experiment(), "--policy", policy)
    assert message in one_line(moco("apply", *arguments, "--out", tmp_path / "out"), 1)
    assert message in one_line(moco("profile", *arguments), 1)
    assert not (tmp_path / "out").exists()


def test_apply_into_a_folder_that_cannot_be_written(experiment: Any, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text('{"format": 1, "groups": {}}', encoding="utf-8")
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = moco("apply", experiment(), "--policy", tmp_path / "policy.json", "--out", tmp_path / "file" / "out")
    assert str(tmp_path / "file") in one_line(done, 2)
