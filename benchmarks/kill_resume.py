"""Is a finished trial ever lost? Searches are killed (`kill -9`) at drawn moments, resumed, and killed in that.

    python -m benchmarks.kill_resume --kills 100 [--seed 0] [--out FOLDER]

Each search is killed one to five times: after a part of its life, just before one of its writes, or soon after it was
started again; the last resume runs to the end. Asked for: each trial that the ledger had taken before a kill is there
afterwards and in the end, the same in every number; nothing is there twice; and the run folder is what the search that
nobody interrupted has left: the same policies, accuracies and sizes, the same networks by their hashes, the same
certificate, the same files. Every fifth search runs in new interpreters, the others are forks of this process, which
saves the seconds of their imports. What is done stands in FOLDER/kills.jsonl, and a rerun goes on from there; folders
of searches that missed something stay. Ends with status 1 where a figure is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import optuna
import yaml

from benchmarks.killed_process import Ended, Moment, run, told
from moco.errors import MocoError
from moco.run_folder.seal import check_seals
from moco.tracking.optuna_trial import to_trial
from moco.trial import Trial
from tests.app import tiny

NAME = "killed"
SETTINGS: dict[str, Any] = {
    "name": NAME,
    "seed": 0,
    **{section: tiny.SETTINGS[section] for section in ("model", "data", "space", "target")},
    # Timed, yet so little that no timing decides anything: the result is the same each time.
    "objective": {"protocol": "accuracy-guaranteed", "floor": "-3 pp", "weights": {"size_mb": 1, "latency_ms": 1e-9}},
    "searcher": {"name": "evolution", "startup": 4, "start": "reference"},
    "budget": {"trials": 10},
    "certificate": {"attempts": 3, "seconds": 0.02},
    "tracking": {"mlflow": False},
}
COUNTED = ("top1_error", "top5_error", "size_mb", "packed_size_mb", "macs", "parameters")
"""Metrics that no clock gives."""
FRESH_EVERY = 5
MOST = 5  # kills of one search


@dataclass(frozen=True)
class Life:
    """What a search that nobody interrupts takes: seconds, changes of files, and statements of its databases."""

    seconds: float
    files: int
    statements: int

    def moment(self, rng: random.Random, share: float) -> Moment:
        """A moment in the first `share` of it: by the clock as often as by files and statements."""
        kind = rng.choice(("seconds", "seconds", "file", "statement"))
        if kind == "seconds":
            return Moment(seconds=rng.uniform(0, share * self.seconds))
        return Moment(**{kind: rng.randint(1, max(1, round(share * getattr(self, f"{kind}s"))))})


@dataclass(frozen=True)
class Killed:
    """One search that was killed and resumed until it ended.

    Attributes:
        kills: each as its moment and the trials that the ledger held then.
        lost: trials that the ledger had taken and that were not there, or not the same, after a kill or in the end.
        doubled: numbers and suggestions that are there twice.
        different: what is not as in the search that nobody interrupted.
    """

    search: int
    kills: tuple[str, ...]
    lost: int
    doubled: int
    different: tuple[str, ...]
    seconds: float

    @property
    def fine(self) -> bool:
        """Whether nothing is missed."""
        return not (self.lost or self.doubled or self.different)


def ledger(folder: Path) -> list[Trial]:
    """The trials of the ledger, every number of them, from a copy: what a kill has left is for the resume to mend."""
    with tempfile.TemporaryDirectory() as copies:
        for path in (folder / "run").glob("study.db*"):
            shutil.copy(path, copies)
        if not (Path(copies) / "study.db").exists():
            return []
        storage = optuna.storages.RDBStorage(f"sqlite:///{copies}/study.db")
        try:
            entries = optuna.load_study(storage=storage, study_name=NAME).get_trials(deepcopy=False)
        except KeyError:  # killed before the study was made
            return []
        finally:
            storage.remove_session()
            storage.engine.dispose()
    return [trial for entry in entries if (trial := to_trial(entry)) is not None]


def content(folder: Path) -> dict[str, Any]:
    """What a finished run folder says, but for times; by what it is."""
    path = folder / "run"
    result, trials = (json.loads((path / name).read_text(encoding="utf-8")) for name in ("result.json", "trials.json"))
    try:
        check_seals(path)
        sealed = "as delivered"
    except MocoError as error:
        sealed = str(error)
    files = sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
    return {
        "exit": result["exit"],
        "trials": [_counted(trial) for trial in trials],
        "chosen": [result["best"][key] for key in ("trial", "policy", "sha256", "holds")],
        "front": [entry["trial"] for entry in result["front"]],
        "starts": result["starts"],
        "certificate": result["certificate"],
        "by class": result["per_class"],
        "warnings": [text for text in result["warnings"] if not re.search("timed with a warning|timing", text)],
        "files": files,
        "hashes": {name: (path / name).read_text(encoding="utf-8") for name in files if name.endswith("SHA256SUMS")},
        "seal": sealed,
    }


def _counted(trial: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: trial[key] for key in ("number", "origin", "state", "feasible", "distinct", "reason", "policy")}
    evaluation = trial["evaluation"] or {"metrics": {}, "artifact_sha256": None}
    metrics = {name: value for name, value in evaluation["metrics"].items() if name in COUNTED}
    return {**found, "metrics": metrics, "file": evaluation["artifact_sha256"]}


class Seen:
    """What was seen of one search so far; see `Killed`."""

    def __init__(self, folder: Path) -> None:
        """Nothing yet."""
        self._folder = folder
        self.trials: list[Trial] = []
        self.lost = self.doubled = 0
        self.problems: list[str] = []

    def look(self, ended: Ended) -> None:
        """Compare what is there now, after a process has ended, with what was there before."""
        now, taken = ledger(self._folder), told(self._folder)
        numbers = {trial.number for trial in now}
        self.lost += sum(trial not in now for trial in self.trials) + sum(number not in numbers for number in taken)
        self.doubled += repeated(trial.number for trial in now) + repeated(trial.suggestion.id for trial in now)
        self.trials = now
        for path in (self._folder / "run").rglob("*.json"):  # each is written beside and moved into place
            try:
                json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                self.problems.append(f"{path.name} is half")
        if not ended.killed and ended.code != 0:
            self.problems.append(f"ended with {ended.code}: {ended.text.strip()[-300:]}")


def repeated(values: Iterable[int]) -> int:
    """How many stand there more than once."""
    found = list(values)
    return len(found) - len(set(found))


class Searches:
    """The searches in one folder, and what the one is like that nobody interrupts."""

    def __init__(self, out: Path, seed: int, trials: int) -> None:
        """Make the reference, in a new interpreter, and a fork's, which must be the same."""
        self.out, self.seed = out, seed
        model = {**SETTINGS["model"], "weights": str(weights(out))}
        settings = {**SETTINGS, "budget": {"trials": trials}, "model": model}
        (out / "experiment.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        self.lives = {fresh: self._uninterrupted(fresh) for fresh in (True, False)}
        self.expected = content(self._reference(fresh=True))
        if differing := _differing(self.expected, content(self._reference(fresh=False))):
            raise SystemExit(f"searches that nobody interrupted differ: {'; '.join(differing)}")

    def _reference(self, *, fresh: bool) -> Path:
        return self.out / f"reference-{'fresh' if fresh else 'forked'}"

    def _command(self, folder: Path, *options: str) -> list[str]:
        store = f"store={folder / 'evaluations.db'}"
        return ["search", str(self.out / "experiment.yaml"), "--out", str(folder / "run"), "--set", store, *options]

    def _uninterrupted(self, fresh: bool) -> Life:
        folder = self._reference(fresh=fresh)
        if not (folder / "life.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            ended = run(self._command(folder), folder, fresh=fresh)
            if ended.code != 0:
                raise SystemExit(f"the search that nobody interrupted ended with {ended.code}: {ended.text[-2000:]}")
            life = Life(ended.seconds, **json.loads((folder / "writes.json").read_text(encoding="utf-8")))
            (folder / "life.json").write_text(json.dumps(asdict(life)), encoding="utf-8")
        return Life(**json.loads((folder / "life.json").read_text(encoding="utf-8")))

    def killed(self, number: int, most: int) -> Killed:
        """One search that is killed at most so often, and resumed until it ends."""
        rng, fresh = random.Random(f"{self.seed}/{number}"), number % FRESH_EVERY == FRESH_EVERY - 1
        folder, life, began = self.out / f"search-{number}", self.lives[fresh], time.perf_counter()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        wanted, share = min(rng.randint(1, MOST), most), 1.0
        seen, kills = Seen(folder), list[str]()
        while len(kills) < wanted and not seen.problems:
            soon = bool(kills) and rng.random() < 0.25  # in quick succession
            moment = life.moment(rng, 0.2 if soon else share)
            ended = run(self._next(folder), folder, moment, fresh=fresh)
            seen.look(ended)
            if ended.killed:
                kills.append(f"{moment} ({len(seen.trials)} trials)")
            else:
                share /= 2  # it had ended before: it is ended anew, and killed in that
        ended = run(self._next(folder), folder, fresh=fresh)
        seen.look(ended)
        if ended.code == 0:
            seen.problems += _differing(self.expected, content(folder))
        seconds = time.perf_counter() - began
        found = Killed(number, tuple(kills), seen.lost, seen.doubled, tuple(seen.problems), seconds)
        if found.fine:
            shutil.rmtree(folder)
        return found

    def _next(self, folder: Path) -> list[str]:
        return self._command(folder, *(["--resume"] if (folder / "run").is_dir() else []))


def _differing(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    return [f"{name} differ" for name, value in expected.items() if found[name] != value]


def weights(out: Path) -> Path:
    """Weights of a digits network that gets most images right, trained once."""
    from safetensors.torch import save_file

    from moco.data import load_data
    from moco.data.sources import SourceOptions
    from moco.models import build_model
    from moco.models.training import TrainingPlan, train

    path = out / "digits.safetensors"
    if not path.exists():
        rows, network = load_data("digits", SourceOptions(), None).train, build_model("digits_resnet", 10)
        train(network, rows.images(), rows.labels.copy(), plan=TrainingPlan(epochs=4), seed=0)
        save_file(network.state_dict(), path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)
    return path


def _warm_up() -> None:
    """One export, so that forks find all that it loads loaded."""
    import torch

    from moco.export.template import build_template
    from moco.models import build_model

    for name in ("moco.app.optimize", "moco.report.console"):
        import_module(name)
    torch.set_num_threads(1)
    network = build_model("digits_resnet", 10).eval()
    build_template(network, torch.zeros(2, 1, 8, 8))


def _done(path: Path) -> list[Killed]:
    """The searches of an earlier call; a last line that was cut short is dropped, also from the file."""
    whole = [line for line in path.read_text(encoding="utf-8").splitlines(True) if line.endswith("\n")]
    path.write_text("".join(whole), encoding="utf-8")
    entries = [json.loads(line) for line in whole]
    return [Killed(**{**e, "kills": tuple(e["kills"]), "different": tuple(e["different"])}) for e in entries]


def main(arguments: list[str] | None = None) -> int:
    """Print a row a search; 1 where something is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=SETTINGS["budget"]["trials"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="kept, and gone on from; default a temporary folder")
    asked = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker"  # of the semaphores that killed interpreters leave
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as temporary:
        out = (asked.out or Path(temporary)).resolve()
        out.mkdir(parents=True, exist_ok=True)
        _warm_up()
        return _all(Searches(out, asked.seed, asked.trials), asked.kills)


def _all(searches: Searches, kills: int) -> int:
    (searches.out / "kills.jsonl").touch()
    done = _done(searches.out / "kills.jsonl")
    while (left := kills - sum(len(search.kills) for search in done)) > 0:
        found = searches.killed(len(done), left)
        with (searches.out / "kills.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(found)) + "\n")
        done.append(found)
        told_ = "fine" if found.fine else f"LOST {found.lost}, DOUBLED {found.doubled}, {'; '.join(found.different)}"
        print(f"search {found.search:3d}  {found.seconds:5.1f} s  {told_}: {', '.join(found.kills)}", flush=True)
    lost, doubled = sum(search.lost for search in done), sum(search.doubled for search in done)
    different = sum(bool(search.different) for search in done)
    print(f"{kills} kills in {len(done)} searches: {lost} trials lost, {doubled} doubled, {different} results differ")
    return 0 if all(search.fine for search in done) else 1


if __name__ == "__main__":
    sys.exit(main())
