"""Searchers on problems whose best front is known: hypervolume after a budget, against random search.

`python -m benchmarks.known_answers --searchers nsga2,tpe --problems zdt1,dtlz2 --trials 100 --seeds 10`

Each run is a search from nothing, with the searcher's own start and its default options, trial by trial. Runs are
appended to a file of JSON lines as they end, and those that stand there already, of the same code, are not run again: a
benchmark that was broken off is taken up by the same command. Then the file's runs of these searchers, of random search
and of these problems with this budget are shown, those of further seeds too.

The test is Mann and Whitney's, exact and one-sided: larger hypervolumes than random search's, over the seeds of both.
The seeds of two searchers have nothing in common but their number, so they are not paired, and random search may have
more of them.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import mannwhitneyu

import moco.searchers
from benchmarks.problems.known import KNOWN, Evaluate, Known
from benchmarks.timed import Timed
from moco import registry
from moco.pareto import front, hypervolume
from moco.policy import Policy
from moco.study import Budget, Study
from moco.trial import Evaluation, MetricValue

FRONTS = ("zdt1", "zdt2", "zdt3", "dtlz2", "c2-dtlz2", "branin-currin")
SCALARS = ("branin", "rosenbrock")
ALPHA = 0.05
RANDOM = "random"
SEARCHERS = "moco.searchers"


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searchers", default="random,sobol,uniform,tpe,nsga2,nsga3,evolution,cmaes,greybox")
    parser.add_argument("--problems", default=",".join((*FRONTS, *SCALARS)), help=f"of {', '.join(KNOWN)}")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("runs/known_answers.jsonl"))
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    done, names = runs(arguments.out), arguments.searchers.split(",")
    codes = {name: code_of(name) for name in (*names, RANDOM)}
    for seed in range(arguments.seeds):  # seed by seed, so that a table of few seeds is there early
        for name in names:
            for problem in arguments.problems.split(","):
                key = {"searcher": name, "problem": problem, "trials": arguments.trials, "seed": seed}
                if not any(key.items() <= run.items() and run["code"] == codes[name] for run in done):
                    found = searched(name, KNOWN[problem], arguments.trials, seed)
                    done.append({**key, "code": codes[name], **found})
                    append(arguments.out, done[-1])
    asked = set(arguments.problems.split(","))
    shown = [run for run in done if run["code"] == codes.get(run["searcher"]) and run["problem"] in asked]
    for line in table([run for run in shown if run["trials"] == arguments.trials], arguments.trials):
        print(line)


def searched(name: str, known: Known, trials: int, seed: int) -> dict[str, float]:
    """One run: the hypervolume as a share of the whole front's, and milliseconds that the searcher takes a trial."""
    cls = registry.plugin("searcher", name)
    searcher = Timed(cls(known.problem, cls.Options(), seed))
    found = Study(known.problem, searcher, evaluation_by(known.evaluate)).run(Budget(trials))
    losses = [trial.outcome.losses for trial in front(found) if trial.outcome]
    return {
        "share": volume(losses, known.reference_point) / known.volume,
        "milliseconds": 1000 * searcher.seconds / trials,
    }


def evaluation_by(evaluate: Evaluate) -> Callable[[Policy], Evaluation]:
    """The function over policies, as a study asks it."""

    def evaluated(policy: Policy) -> Evaluation:
        return Evaluation({key: MetricValue(value) for key, value in evaluate(policy.settings).items()})

    return evaluated


def volume(losses: Sequence[Sequence[float]], reference_point: Sequence[float]) -> float:
    """Hypervolume; of a single loss what its least value lies below the reference."""
    if len(reference_point) > 1:
        return hypervolume(losses, reference_point)
    return max((reference_point[0] - loss for (loss,) in losses), default=0.0)


def code_of(name: str) -> str:
    """Hash of what the searcher's module does, and all modules of moco.searchers that it stands on."""
    sources = modules_of(name)
    return hashlib.sha256("".join(behaviour(sources[module]) for module in sorted(sources)).encode()).hexdigest()[:12]


def modules_of(name: str) -> dict[str, str]:
    """Source by name of the searcher's module and of those of moco.searchers that it stands on."""
    todo, seen = [str(registry.plugin("searcher", name).__module__)], dict[str, str]()
    while todo:
        module = todo.pop()
        if module not in seen:
            seen[module] = _file(module).read_text(encoding="utf-8")
            todo += _stands_on(seen[module])
    return seen


def _stands_on(source: str) -> Iterator[str]:
    """Modules of moco.searchers that are imported, or of which something is."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{SEARCHERS}."):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if _file(name).exists() else str(node.module) for name in inner if _is_in_a_file(name))


def _is_in_a_file(name: str) -> bool:
    """Whether a name is a module, or is defined in one: a package itself does nothing."""
    return _file(name).exists() or _file(name.rpartition(".")[0]).exists()


def _file(module: str) -> Path:
    parts = module.removeprefix(f"{SEARCHERS}.").split(".")
    return Path(moco.searchers.__file__).parent.joinpath(*parts).with_suffix(".py")


def behaviour(source: str) -> str:
    """The syntax tree without docstrings: what a module says of itself changes no run."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [inner for inner in node.body if not _is_text(inner)]
    return repr(_parts(tree))


def _parts(node: Any) -> Any:
    """A node's type and the fields that it uses: Python's releases add others, and `ast.dump` shows them or not."""
    if isinstance(node, list):
        return [_parts(inner) for inner in node]
    if not isinstance(node, ast.AST):
        return node
    used = ((name, _parts(value)) for name, value in ast.iter_fields(node) if value is not None and value != [])
    return (type(node).__name__, *used)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def runs(path: Path) -> list[dict[str, Any]]:
    """The runs of a file; none where it is missing."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def append(path: Path, run: dict[str, Any]) -> None:
    """Add a run to the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(run) + "\n")


def table(found: Sequence[dict[str, Any]], trials: int) -> Iterator[str]:
    """Markdown: the budget, then by searcher and problem the median share of the known volume, and p against random."""
    yield f"After {trials} trials:"
    yield ""
    names = list(dict.fromkeys(run["searcher"] for run in found))
    problems = [problem for problem in KNOWN if any(run["problem"] == problem for run in found)]
    yield f"| searcher | seeds | ms a trial | {' | '.join(problems)} |"
    yield "|---|--:|--:|" + "--:|" * len(problems)
    for name in names:
        own = [run for run in found if run["searcher"] == name]
        seeds = sorted({len(shares(own, problem)) for problem in problems} - {0})
        cells = [cell(shares(own, problem), shares(found, problem, RANDOM), name) for problem in problems]
        milliseconds = statistics.median(run["milliseconds"] for run in own)
        yield f"| {name} | {'–'.join(map(str, seeds))} | {milliseconds:.1f} | {' | '.join(cells)} |"
    yield ""
    yield f"Median share of the known front's hypervolume (p against random search); bold where p < {ALPHA}."


def shares(found: Sequence[dict[str, Any]], problem: str, name: str | None = None) -> list[float]:
    """The shares of the runs of a problem, of one searcher where it is named."""
    return [run["share"] for run in found if run["problem"] == problem and name in (None, run["searcher"])]


def cell(own: Sequence[float], randoms: Sequence[float], name: str) -> str:
    """One searcher on one problem."""
    if not own:
        return ""
    median = f"{statistics.median(own):.4f}"
    if name == RANDOM or not randoms:
        return median
    own = own[:1] if len(set(own)) == 1 else own  # one that takes no seed has run once, however often it was run
    p = float(mannwhitneyu(own, randoms, alternative="greater", method="exact").pvalue)
    return f"**{median}** ({p:.2g})" if p < ALPHA else f"{median} ({p:.2g})"


if __name__ == "__main__":
    main()
