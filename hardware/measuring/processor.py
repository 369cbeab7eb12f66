"""The processor of this machine: its name, cores and the instruction sets that decide how fast a kernel is."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

RELEVANT = (
    *("sse4_1", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8"),
    *("asimd", "asimddp", "i8mm", "sve"),
)
"""Instruction sets for which runtimes have kernels of their own (x86 and ARM names as Linux prints them)."""


@dataclass(frozen=True)
class Processor:
    """A processor as far as timings depend on it."""

    name: str
    cores: int  # logical cores of the machine
    instruction_sets: tuple[str, ...]  # those of `RELEVANT` that it has, in that order

    @property
    def float32_block(self) -> int:
        """Channels that ONNX Runtime's float32 convolution kernels work on at once: 16, 8 or 4.

        A vector register holds 16, 8 or 4 float32 numbers with AVX-512, AVX2 or less; latency is a staircase
        whose steps are that wide.
        """
        return 16 if "avx512f" in self.instruction_sets else 8 if "avx2" in self.instruction_sets else 4

    @property
    def int8_exact(self) -> bool:
        """Whether unsigned x signed 8-bit products are summed without saturating: with dot-product instructions."""
        return not {"avx512_vnni", "avx_vnni", "asimddp", "i8mm"}.isdisjoint(self.instruction_sets)


@cache
def processor() -> Processor:
    """This machine's processor; instruction sets are known on Linux and left empty elsewhere."""
    text = CPUINFO.read_text() if CPUINFO.exists() else ""
    return parse_cpuinfo(text, fallback=platform.processor() or platform.machine(), cores=os.cpu_count() or 1)


def parse_cpuinfo(text: str, fallback: str, cores: int) -> Processor:
    """The processor that the text of /proc/cpuinfo describes; `fallback` is its name where the text gives none."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip().lower(), value.strip())
    present = set((fields.get("flags") or fields.get("features") or "").split())
    name = fields.get("model name") or fields.get("hardware") or fallback
    return Processor(name, cores, tuple(flag for flag in RELEVANT if flag in present))
