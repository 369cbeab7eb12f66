"""Does any input end in a traceback, a hang or nonsense? Mutated experiments, policies and leftovers of searches.

    python -m benchmarks.fuzz [--experiments 1000] [--policies 500] [--leftovers 200] [--seed 0] [--only experiments/17]

Each case is a valid input with one to three mutations, and a function of the seed and its number alone. Asked of each:
exit code 0 to 3, no traceback, an error of one line, an answer within 10 s (a search that was rightly begun has 120),
and nothing taken that is nonsense (`benchmarks.fuzzing.soundness` says what that is). A fault is told with its number,
by which `--only` runs it again, and with as few of its mutations as still give it. Ends with status 1 at any fault.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fuzzing.kinds import KINDS, Checked, Kind
from benchmarks.fuzzing.workbench import Workbench


@dataclass
class Tally:
    """What came of the cases of a kind."""

    name: str
    count: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    faulty: dict[str, Checked] = field(default_factory=dict)  # by case

    def add(self, case: str, checked: Checked) -> None:
        """Count one."""
        self.count += 1
        self.ended[checked.ended.rpartition(": ")[2]] += 1
        self.slowest_s = max(self.slowest_s, checked.seconds)
        if checked.faults:
            self.faulty[case] = checked

    def line(self) -> str:
        """In words."""
        ends = ", ".join(f"{count} {ended}" for ended, count in self.ended.most_common())
        figures = f"{self.count} cases, {len(self.faulty)} faulty, slowest answer {self.slowest_s:.1f} s"
        return f"{self.name}: {figures} ({ends})"


def fuzzed(kind: Kind, seed: int, numbers: Iterable[int], *, loud: bool = True) -> Tally:
    """The cases of these numbers; each fault is printed as it is found."""
    tally = Tally(kind.name)
    for number in numbers:
        case = f"{seed}/{kind.name}/{number}"
        seeds = kind.seeds(case)
        checked = kind.check(case, seeds)
        tally.add(case, checked)
        if checked.faults and loud:
            _tell(kind, number, case, seeds, checked)
    return tally


def run(counts: Mapping[str, int], seed: int, bench: Workbench, only: str | None = None) -> list[Tally]:
    """So many cases of each kind, or the one case `KIND/NUMBER`."""
    if only is not None:
        name, _, number = only.partition("/")
        return [fuzzed(KINDS[name](bench), seed, [int(number)])]
    return [fuzzed(KINDS[name](bench), seed, range(count)) for name, count in counts.items()]


def _tell(kind: Kind, number: int, case: str, seeds: Sequence[str], checked: Checked) -> None:
    fewest = kind.minimised(case, seeds) if len(seeds) > 1 else list(seeds)
    again = kind.check(case, fewest) if len(fewest) < len(seeds) else checked
    print(f"\n== {kind.name}/{number}, mutations {fewest}: {again.ended}")
    for fault in again.faults or checked.faults:
        print(fault)
    print("-- input and error:")
    print(again.shown.encode("ascii", "backslashreplace").decode(), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says; 1 where a case is faulty."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    for name, count in (("experiments", 1000), ("policies", 500), ("leftovers", 200)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="KIND/NUMBER")
    given = parser.parse_args(arguments)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tallies = run({name: getattr(given, name) for name in KINDS}, given.seed, Workbench(Path(folder)), given.only)
    for tally in tallies:
        print(tally.line())
    print(f"seed {given.seed}, {time.perf_counter() - began:.0f} s")
    return int(any(tally.faulty for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
