"""The best known fronts of the compression problems: `python -m benchmarks.problems.compression_fronts`.

By a long evolutionary search over the expected losses, from the uniform policies on, three times, and then by trying
every neighbour of the front (benchmarks/recorded/search.py). Problems named on the command line alone are done anew.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from benchmarks.problems.compression import AS_NUMBER, FRONTS, Compression, fronts
from benchmarks.problems.compression_spaces import MADE, compression
from benchmarks.recorded.search import surrogate_front
from moco.metrics import COST, TOP1_ERROR
from moco.pareto import hypervolume


def main() -> None:
    """Write the hypervolume of every problem's front."""
    found = fronts() if FRONTS.exists() else {}
    for name in sys.argv[1:] or MADE:
        found[name] = volume(compression(name))
        print(name, found[name], flush=True)
    FRONTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def volume(problem: Compression) -> float:
    """Hypervolume of the best known front below the corner."""
    grids = [np.array([AS_NUMBER[knob.read](value) for value in knob.grid()]) for knob in problem.knobs]
    sizes = np.array([len(grid) for grid in grids])

    def losses(places: np.ndarray) -> np.ndarray:
        numbers = np.column_stack([grid[column] for grid, column in zip(grids, places.T, strict=True)])
        expected = problem.expected_at(numbers)
        return np.column_stack([expected[TOP1_ERROR], expected[COST]])

    starts = [
        [
            int(np.argmin(np.abs(g - AS_NUMBER[k.read](point[k.name]))))
            for g, k in zip(grids, problem.knobs, strict=True)
        ]
        for point in problem.ladder()
    ]
    reference = np.array(problem.reference_point)
    _, values = surrogate_front(losses, sizes, reference, np.array(starts))
    return float(hypervolume(values, reference))


if __name__ == "__main__":
    main()
