"""Experiments: what loads, what is refused, and in which words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from moco.errors import ConfigError
from moco.experiment.identity import resolved
from moco.experiment.loading import Experiment, experiment_of, load_experiment
from moco.experiment.options import options_of
from moco.experiment.schema_space import RecoverySection
from moco.experiment.student import load_student
from moco.stages.staged import is_staged, staged_experiment

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").rglob("*.yaml"))

MINIMAL = """
model: {name: digits_resnet}
data: {source: digits}
space: {filter_pruning: {keep: [0.3, 1.0]}}
objective: {protocol: accuracy-guaranteed, weights: {latency_ms: 1, size_mb: 1}}
"""


@pytest.fixture
def write(tmp_path: Path):
    def written(text: str = MINIMAL, name: str = "mine.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return written


def load(write: Any, *overrides: str) -> Experiment:
    return load_experiment(write(), overrides)


def test_there_are_experiments() -> None:
    assert len(EXPERIMENTS) >= 5


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_published_experiment_loads(path: Path) -> None:
    teaches = "\nstudent:" in path.read_text(encoding="utf-8")
    if is_staged(path):
        staged = staged_experiment(path)
        name, experiments = staged.name, [staged.whole(stage) for stage in staged.stages]
    else:
        experiments = [load_student(path) if teaches else load_experiment(path)]
        name = experiments[0].name
    assert name == path.stem
    for experiment in experiments:
        assert resolved(experiment_of(resolved(experiment))) == resolved(experiment)


def test_the_groups_of_the_dissertation_name_its_layers() -> None:
    from fnmatch import fnmatchcase

    path = next(path for path in EXPERIMENTS if path.stem == "resnet56_cifar10_s2_groups")
    groups = load_experiment(path).space.groups
    assert isinstance(groups, dict)
    layers = [f"layer{stage}.{block}.conv{conv}" for stage in (1, 2, 3) for block in range(9) for conv in (1, 2)]
    found = {
        name: [layer for layer in layers if any(fnmatchcase(layer, pattern) for pattern in patterns)]
        for name, patterns in groups.items()
    }
    assert found == {
        "g1": [f"layer1.{block}.conv1" for block in range(9)],
        "g2": [f"layer2.{block}.conv1" for block in (1, 2, 3, 4, 6, 7)],
        "g3.1": ["layer3.1.conv1"],
        "g3.2": [f"layer3.{block}.conv1" for block in (2, 3, 5, 6, 7, 8)],
    }


def test_what_is_not_given_has_its_default(write: Any) -> None:
    experiment = load(write)
    assert (experiment.name, experiment.seed, experiment.recovery) == ("mine", 0, (RecoverySection(name="batch_norm"),))
    assert (experiment.space.groups, list(experiment.space.declared)) == ("per-block", ["filter_pruning"])
    assert (experiment.target.runtime, experiment.plugins.target.options.threads) == ("onnxruntime", 1)
    assert (experiment.target.timing.seconds_batch1, experiment.target.timing.seconds_batch32) == (0.2, 0.6)
    assert (experiment.searcher.name, experiment.searcher.start) == ("greybox", "ladder")
    assert (experiment.certificate.confidence, experiment.certificate.attempts) == (0.95, 5)
    assert experiment.store is True


def test_plug_in_options_arrive_in_their_dataclasses(write: Any) -> None:
    experiment = load(write, "searcher={name: nsga2, population: 12}", "objective.floor=-3 pp", "target.threads=2")
    assert experiment.plugins.searcher.options.population == 12
    assert experiment.plugins.objective.options.floor == "-3 pp"
    assert experiment.plugins.target.options.threads == 2


def test_a_bare_name_is_short_for_a_searcher_with_its_defaults(write: Any) -> None:
    assert load(write, "searcher=tpe") == load(write, "searcher={name: tpe}")


def test_the_resolved_experiment_spells_out_the_options_of_its_plug_ins(write: Any) -> None:
    data = resolved(load(write))
    assert data["objective"]["floor"] == "-10 pp"
    assert data["searcher"]["ladder"] > 1
    assert yaml.safe_load(yaml.safe_dump(data)) == data


def test_the_resolved_experiment_does_not_depend_on_its_folder(write: Any, tmp_path: Path) -> None:
    data = resolved(load(write, "model={name: digits_resnet, weights: here.safetensors}"))
    elsewhere = tmp_path / "run"
    elsewhere.mkdir()
    (elsewhere / "experiment.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    assert resolved(load_experiment(elsewhere / "experiment.yaml")) == data


def test_paths_in_the_file_are_relative_to_the_file(write: Any, tmp_path: Path) -> None:
    path = write(MINIMAL + "store: ../evaluations.db\n")
    assert load_experiment(path).store == str(tmp_path.parent / "evaluations.db")


@pytest.mark.parametrize("weights", ["IMAGENET1K_V1", "DEFAULT", "IMAGENET1K_SWAG_E2E_V1"])
def test_the_name_of_published_weights_is_no_path(write: Any, weights: str) -> None:
    experiment = load(write, f"model={{name: resnet18, weights: {weights}}}")
    assert experiment.model.weights == weights
    assert experiment_of(resolved(experiment)).model.weights == weights


@pytest.mark.parametrize("weights", ["ra2_in1k", "DEFAULT"])
def test_a_tag_of_timm_is_no_path(write: Any, weights: str) -> None:
    assert load(write, f"model={{name: timm/lcnet_050, weights: {weights}}}").model.weights == weights


@pytest.mark.parametrize("weights", ["./DEFAULT", "default", "DEFAULT.safetensors"])
def test_other_weights_are_a_path(write: Any, weights: str) -> None:
    found = load(write, f"model={{name: resnet18, weights: {weights}}}").model.weights
    assert found is not None
    assert Path(found).is_absolute()


def test_paths_on_the_command_line_are_relative_to_the_current_folder(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    experiment = load(write, "model.weights=w.safetensors")
    assert experiment.model.weights == str(tmp_path / "here" / "w.safetensors")


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("budget.trials=7", lambda e: e.budget.trials == 7),
        ("budget.seconds=1.5", lambda e: e.budget.seconds == 1.5),
        ("tracking.mlflow={uri: 'http://127.0.0.1:5000'}", lambda e: e.tracking.mlflow.uri == "http://127.0.0.1:5000"),
        ("space.groups={all: ['*']}", lambda e: e.space.groups == {"all": ("*",)}),
        (
            "space.channel_multiple={float32: 8, int8: 4}",
            lambda e: e.space.channel_multiple == {"float32": 8, "int8": 4},
        ),
        ("space.channel_multiple=16", lambda e: e.space.channel_multiple == 16),
        ("recovery=[]", lambda e: e.recovery == ()),
        ("store=false", lambda e: e.store is False),
        ("name=run-2", lambda e: e.name == "run-2"),
    ],
)
def test_values_can_be_set_on_the_command_line(write: Any, override: str, found: Any) -> None:
    assert found(load(write, override))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        # Unknown keys, at every depth, of moco and of the plug-ins.
        ("modle={name: x}", r"^modle: unknown key; did you mean 'model'\?$"),
        ("model.nme=x", r"^model\.nme: unknown key; did you mean 'name'\?$"),
        ("space.filter_pruning.kep=[0.1, 1.0]", r"^space\.filter_pruning\.kep: unknown key; did you mean 'keep'\?$"),
        ("data.splits.serch=5", r"^data\.splits\.serch: unknown key; did you mean 'search'\?$"),
        ("tracking.mlflow={url: x}", r"^tracking\.mlflow\.url: unknown key; did you mean 'uri'\?$"),
        ("objective.wieghts={size_mb: 1}", r"^objective\.wieghts: unknown key; did you mean 'weights'\?$"),
        ("searcher={name: nsga2, popluation: 5}", r"^searcher\.popluation: unknown key; did you mean 'population'\?$"),
        ("searcher.strat=ladder", r"^searcher\.strat: unknown key; did you mean 'start'\?$"),
        ("searcher.nme=tpe", r"^searcher\.nme: unknown key; did you mean 'name'\?$"),
        ("target.runtme=x", r"^target\.runtme: unknown key; did you mean 'runtime'\?$"),
        ("target.timng={}", r"^target\.timng: unknown key; did you mean 'timing'\?$"),
        ("objective.protcl=front", r"^objective\.protcl: unknown key; did you mean 'protocol'\?$"),
        ("recovery=[{name: refit, optons: {}}]", r"^recovery\[0\]\.optons: unknown key$"),
        ("recovery={refit: {}}", r"^recovery: expected a list, got \{'refit': \{\}\}$"),
        (
            "target.counters=[{nam: rapl}]",
            r"^target\.counters: expected a counter's name, or \{name: …, option: value\}, got .* mean 'name'\?$",
        ),
        (
            "target.counters=[{name: rapl, nam: x}]",
            r"^target\.counters\.rapl\.nam: unknown key; did you mean 'name'\?$",
        ),
        (
            "space.filter_pruning.rank={nme: l1}",
            r"^space\.filter_pruning\.rank: expected a r.* 'name'\?$",
        ),
        (
            "space.filter_pruning.rank={name: l1, nme: l2}",
            r"^space\.filter_pruning\.rank\.nme: unknown key; did you mean 'name'\?$",
        ),
        ("target.thread=5", r"^target\.thread: unknown key; did you mean 'threads'\?$"),
        # Unknown names.
        ("searcher.name=tpee", r"^searcher\.name: unknown searcher 'tpee'; did you mean 'tpe'\?$"),
        (
            "objective.protocol=accuracy",
            r"^objective\.protocol: unknown objective 'accuracy'; did you mean 'accuracy-g",
        ),
        ("target.runtime=onnx", r"^target\.runtime: unknown target 'onnx'; did you mean 'onnxruntime'\?$"),
        ("data.source=parqet", r"^data\.source: expected 'digits', .* got 'parqet'; did you mean 'parquet'\?$"),
        ("searcher.start=lader", r"^searcher\.start: expected .* got 'lader'; did you mean 'ladder'\?$"),
        (
            "recovery=[batchnorm]",
            r"^recovery\[0\]: expected 'refit', .*'custom', got 'batchnorm'; did you mean 'batch_norm'\?$",
        ),
        # Text where a number is due: PyYAML reads neither 3e-4 nor 1e6 as a number.
        (
            "model.train.learning_rate=3e-4",
            r"^model\.train\.learning_rate: '3e-4' arrived as text; YAML wants 3\.0e-4$",
        ),
        ("budget.seconds=1e6", r"^budget\.seconds: '1e6' arrived as text; YAML wants 1\.0e\+6$"),
        ("budget.trials='40'", r"^budget\.trials: '40' arrived as text; YAML wants 40 without quotes$"),
        (
            "objective.weights={size_mb: 1e-3}",
            r"^objective\.weights\.size_mb: '1e-3' arrived as text; YAML wants 1\.0e-3$",
        ),
        (
            "searcher={name: nsga2, crossover: 5e-1}",
            r"^searcher\.crossover: '5e-1' arrived as text; YAML wants 5\.0e-1$",
        ),
        # Wrong types.
        ("budget.trials=many", r"^budget\.trials: expected a whole number, got 'many'$"),
        ("budget.trials=1.5", r"^budget\.trials: expected a whole number, got 1\.5$"),
        ("budget.trials=true", r"^budget\.trials: expected a whole number, got True$"),
        ("budget=40", r"^budget: expected a mapping, got 40$"),
        ("model.name=5", r"^model\.name: expected text, got 5$"),
        ("recovery=batch_norm", r"^recovery: expected a list, got 'batch_norm'$"),
        ("tracking.dashboard='yes'", r"^tracking\.dashboard: expected true or false, got 'yes'$"),
        (
            "tracking.mlflow=on the server",
            r"^tracking\.mlflow: expected true or false or a mapping, got 'on the server'$",
        ),
        (
            "space.groups=per-blok",
            r"^space\.groups: expected 'per-layer', .* got 'per-blok'; did you mean 'per-block'\?$",
        ),
        ("space.groups={g1: layer1}", r"^space\.groups\.g1: expected a list, got 'layer1'$"),
        ("objective.floor=-2", r"^objective\.floor: expected text or a mapping, got -2$"),
        ("objective.weights=[latency_ms]", r"^objective\.weights: expected a mapping, got \['latency_ms'\]$"),
        ("searcher={name: nsga2, population: ten}", r"^searcher\.population: expected a whole number, got 'ten'$"),
        ("data.normalize={mean: [0.5], std: 0.2}", r"^data\.normalize\.std: expected a list, got 0\.2$"),
        ("budget.seconds=.inf", r"^budget\.seconds: expected a finite number, got inf$"),
        ("name=2024-01-01", r"^name: expected text, a number, a list or a mapping, got a date; quote it$"),
        ("space={on: 1}", r"^space: the key True is not text; put it in quotes$"),
        # Impossible bounds.
        ("space.filter_pruning.keep=[0.9, 0.3]", r"^space\.filter_pruning\.keep: expected \[lowest, highest\] ratio"),
        (
            "space.filter_pruning.keep=[0.0, 1.0]",
            r"^space\.filter_pruning\.keep\[0\]: expected greater than 0, got 0\.0$",
        ),
        (
            "space.filter_pruning.keep=[0.3, 30]",
            r"^space\.filter_pruning\.keep\[1\]: expected less than or equal to 1, got 30$",
        ),
        ("space.filter_pruning.keep=[0.3]", r"^space\.filter_pruning\.keep\[1\]: is missing$"),
        ("budget.trials=0", r"^budget\.trials: expected greater than or equal to 1, got 0$"),
        ("budget.seconds=-5", r"^budget\.seconds: expected greater than 0, got -5$"),
        ("data.splits.certification=0", r"^data\.splits\.certification: expected greater than or equal to 1, got 0$"),
        ("certificate.confidence=95", r"^certificate\.confidence: expected less than 1, got 95$"),
        (
            "space.channel_multiple={float16: 8}",
            r"^space\.channel_multiple\.float16: expected 'float32', 'int8' or 'mixed', got 'fl",
        ),
        ("space.quantization.precision=[int8, int8]", r"^space\.quantization\.precision: expected each precision once"),
        (
            "space.filter_pruning=null",
            r"^space: expected at least one of .*'depth', got none$",
        ),
        ("objective.floor=200 %", r"^objective\.floor: an accuracy lies in 0\.\.1 or 0\.\.100 %"),
        ("objective.constraints={size_mb: '<= -1'}", r"^objective\.constraints\.size_mb: no network has a value <= -1"),
        (
            "objective.constraints={sizemb: '<= 1'}",
            r"^objective\.constraints: unknown metric 'sizemb'; did you mean 'size_",
        ),
        ("searcher.population=0", r"^searcher\.population: "),
        (
            "name=a/b",
            r"^name: expected at most 100 letters, digits and \. _ \+ - \(it names the run folder\), got 'a/b'$",
        ),
        # Sections that do not fit together.
        ("model={weights: w.safetensors}", r"^model: expected either 'name' or 'import', got neither$"),
        ("model={name: x, weights: w, train: {epochs: 1}}", r"^model: expected 'weights' or 'train', got both$"),
        ("data.source=import", r"^data: source 'import' and the key 'import' belong together, got source 'import'$"),
        ("model={import: nothing}", r"^model\.import: expected 'package\.module:attribute', got 'nothing'$"),
        ("baselines=[quantise_static]", r"^baselines: expected 'quantize_static', .*did you mean 'quantize_static'\?$"),
        ("baselines=[{name: x}]", r"^baselines: expected 'quantize_static', \{model: …\}, .*, got \{'name': 'x'\}$"),
        ("baselines=[{model: x, wieghts: w}]", r"^baselines: unknown key 'wieghts'; did you mean 'weights'\?$"),
        ("baselines=[{by_hand: {drop: 1, epoch: 2}}]", r"^baselines: unknown key 'epoch'; did you mean 'epochs'\?$"),
        ("baselines=[{by_hand: {drop: 1}}]", r"by_hand: expected either 'epochs' or 'processor_seconds', got neither$"),
        ("baselines=quantize_static", r"^baselines: expected a list, got 'quantize_static'$"),
        # The command line itself.
        ("budget.trials", r"^--set budget\.trials: expected key=value with dots between keys"),
        ("=3", r"^--set =3: expected key=value"),
        ("budget.trials=[1", r"^--set budget\.trials=\[1, line 1, column \d+: not valid YAML"),
        ("model.name.x=1", r"^--set model\.name\.x=1: 'x' lies within 'digits_resnet', which is not a mapping$"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line_with_its_key_path(write: Any, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        load(write, override)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("section", ["model", "data", "space", "objective"])
def test_a_missing_section_is_named(section: str) -> None:
    data = {key: value for key, value in yaml.safe_load(MINIMAL).items() if key != section}
    with pytest.raises(ConfigError, match=rf"^{section}: is missing$"):
        experiment_of({"name": "x", **data})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"mine\.yaml: expected a mapping with 'model', .* got an empty file$"),
        ("- model\n", r"mine\.yaml: expected a mapping .* got a list$"),
        ("model: {name: x\ndata: 1\n", r"mine\.yaml, line 2, column \d+: not valid YAML"),
        ("model:\n\tname: x\n", r"mine\.yaml, line 2, column 1: not valid YAML"),
        ("seed: 1\nmodel: {name: x}\nseed: 2\n", r"mine\.yaml, line 3: the key 'seed' stands in line 1 already$"),
        ("budget: {trials: 1, trials: 2}\n", r"mine\.yaml, line 1: the key 'trials' stands in line 1 already$"),
        (
            "model: !!python/object/apply:os.getcwd []\n",
            r"mine\.yaml, line 1, column 8: the tag '!!python/object/apply:os.getcwd' is not taken",
        ),
        ("model: \x00\n", r"mine\.yaml: not valid YAML: .*special characters are not allowed"),
    ],
)
def test_malformed_files_are_told_with_their_line(write: Any, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        load_experiment(write(text))
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file$"):
        load_experiment(tmp_path / "nowhere.yaml")


def test_a_folder_is_no_experiment(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: it is a folder$"):
        load_experiment(tmp_path)


def test_binary_files_are_no_experiment(tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match=r"cannot be read: it is not UTF-8 text$"):
        load_experiment(tmp_path / "model.yaml")


@pytest.mark.parametrize(
    ("override", "key"),
    [("model={import: 'pkg.net:make'}", "model"), ("data={source: import, import: 'pkg.net:make'}", "data")],
)
def test_code_is_imported_only_where_the_command_line_allows_it(write: Any, override: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key}\.import: 'pkg\.net:make' runs code .* allow it by --allow-import$"):
        load(write, override)
    allowed = load_experiment(write(), [override], allow_import=True)
    assert getattr(allowed, key).import_path == "pkg.net:make"
    assert allowed.folder == str(write().parent)


def test_an_experiment_cannot_be_changed(write: Any) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(write).budget.trials = 3  # type: ignore[misc]


@dataclass(frozen=True)
class StrategyOptions:
    rate: float
    layers: tuple[int, ...] = (400, 300)
    law: str | None = None

    def __post_init__(self) -> None:
        if self.rate > 1:
            raise ValueError(f"rate: expected at most 1, got {self.rate}")


def test_lists_become_the_tuples_that_options_ask_for() -> None:
    assert options_of(StrategyOptions, {"rate": 1, "layers": [5]}, "searcher") == StrategyOptions(1.0, (5,))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"^searcher\.rate: is missing$"),
        ({"rate": 0.1, "lawe": "x"}, r"^searcher\.lawe: unknown key; did you mean 'law'\?$"),
        ({"rate": "1e-3"}, r"^searcher\.rate: '1e-3' arrived as text; YAML wants 1\.0e-3$"),
        ({"rate": 0.1, "layers": [1, "two"]}, r"^searcher\.layers\[1\]: expected a whole number, got 'two'$"),
        ({"rate": 0.1, "law": 3}, r"^searcher\.law: expected text, got 3$"),
        ({"rate": float("nan")}, r"^searcher\.rate: expected a finite number, got nan$"),
        ({"rate": 2.0}, r"^searcher: rate: expected at most 1, got 2\.0$"),
    ],
)
def test_options_of_any_plug_in_are_checked_alike(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        options_of(StrategyOptions, values, "searcher")


@dataclass(frozen=True)
class Unresolved:
    rate: Absent = 1  # type: ignore[name-defined]  # noqa: F821


@dataclass(frozen=True)
class NotPlain:
    rate: complex = 1j


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (Unresolved, "NameError: name 'Absent' is not defined"),
        (NotPlain, "TypeError: Object of type complex is not JSON serializable"),
    ],
)
def test_options_that_do_not_work_are_named(options: type, why: str) -> None:
    with pytest.raises(ConfigError) as told:
        options_of(options, {}, "searcher")
    assert str(told.value) == f"searcher: the options {__name__}.{options.__name__} do not work: {why}"


@pytest.mark.parametrize("overrides", [("budget.trials=5", "budget.trials=6"), ("budget={trials: 6}",)])
def test_the_last_override_wins(write: Any, overrides: Sequence[str]) -> None:
    assert load(write, *overrides).budget.trials == 6


def test_recovery_is_written_as_it_is_read(write: Any) -> None:
    experiment = load(write, "recovery=[{refit: {positions: 20}}, batch_norm]")
    assert resolved(experiment)["recovery"] == [{"refit": {"positions": 20}}, "batch_norm"]
    assert experiment_of(resolved(experiment)).recovery == experiment.recovery
