"""How TVM computes a convolution: by one fixed order of loops, since nobody tunes them here.

Relax's own order sums up one output at a time, which no vector instruction can do: ResNet-20 took 14 times as long.
Here a tile of some channels times a piece of a row is summed up in registers, over all inputs.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax, s_tir
from tvm.relax.backend.cpu_generic import pipeline
from tvm.s_tir.dlight import ApplyDefaultSchedule
from tvm.s_tir.dlight.base import ScheduleRule

CHANNELS, ROW = 4, 32
"""The largest tile: 8 registers of AVX-512 or 16 of AVX2; of ResNet-20's, 8 channels were no faster than 4."""
CONVOLUTION, LOOPS = "conv2d_nchw", 7
"""Relax's name of the block of a dense convolution, over images, channels, rows, columns, inputs and the kernel."""


class Convolution(ScheduleRule):  # type: ignore[misc]  # TVM has no types
    """Reorders the loops of functions that are a dense convolution, and what is fused with it."""

    def apply(self, func: Any, target: Any, tunable: bool) -> Any:  # noqa: ARG002 - as TVM calls it
        """The function's schedule; None where it is another function, or has other loops, and stays as it is."""
        schedule = s_tir.Schedule(func)
        blocks = schedule.get_child_blocks(schedule.get_sblock("root"))
        names = [schedule.get(block).name_hint for block in blocks]
        if names.count(CONVOLUTION) != 1:
            return None
        place = names.index(CONVOLUTION)
        loops = schedule.get_loops(blocks[place])
        sizes = [schedule.get(loop).extent for loop in loops]
        if len(loops) != LOOPS or not all(map(_is_known, sizes[1:])):
            return None
        for block in blocks[place + 1 : -1]:  # bias, shortcut and activation become one pass
            schedule.compute_inline(block)
        _tile(schedule, blocks[place], loops, divisor(int(sizes[1]), CHANNELS), divisor(int(sizes[3]), ROW))
        return schedule


def _is_known(size: Any) -> bool:
    return isinstance(size, tvm.tirx.IntImm)


def divisor(size: int, most: int) -> int:
    """The largest divisor of a size that is at most so large."""
    return max(tile for tile in range(1, most + 1) if size % tile == 0)


def _tile(schedule: Any, block: Any, loops: Any, channels: int, row: int) -> None:
    """Have the block sum up (channels, row) outputs at a time in registers, and write them to memory once."""
    image, filters, line, column, *inputs = loops
    sums = schedule.cache_write(block, 0, "local")
    outer_filters, some_filters = schedule.split(filters, [None, channels])
    outer_columns, columns = schedule.split(column, [None, row])
    schedule.reorder(image, outer_filters, line, outer_columns, *inputs, some_filters, columns)
    schedule.reverse_compute_at(sums, outer_columns)
    schedule.vectorize(schedule.get_loops(sums)[-1])
    schedule.vectorize(columns)
    schedule.unroll(some_filters)
    schedule.decompose_reduction(block, inputs[0])


def passes(target: Any) -> Any:
    """TVM's own passes for processors, with the schedule before loops are lowered."""
    ours = [ApplyDefaultSchedule(Convolution())]
    first = [*pipeline.library_dispatch_passes(target), *pipeline.legalize_passes(target)]
    return tvm.transform.Sequential(
        [*first, *ours, *pipeline.dataflow_lower_passes(target), *pipeline.finalize_passes(target)]
    )


def compiled(module: Any, target: Any) -> Any:
    """What TVM compiles a module of Relax's into."""
    with target:
        executable: relax.VMExecutable = tvm.compile(module, target=target, relax_pipeline=passes(target))
    return executable
