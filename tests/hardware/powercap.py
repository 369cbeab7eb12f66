"""A tree like /sys/class/powercap, and a processor of known power: so much idle, so much more while it computes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RANGE_UJ = 262_143_328_850


def zone(folder: Path, name: str, energy_uj: int = 0, range_uj: int = RANGE_UJ) -> Path:
    """A counter's folder."""
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    advance(folder, energy_uj)
    return folder


def advance(folder: Path, energy_uj: int) -> None:
    """Let the counter read that; whole at any time, as in sysfs."""
    partial = folder / ".energy_uj"
    partial.write_text(f"{energy_uj}\n")
    partial.replace(folder / "energy_uj")


@contextmanager
def working(root: Path, idle_w: float = 5.0, busy_w: float = 40.0) -> Iterator[Path]:
    """A package under `root` that takes `idle_w`, and `busy_w` more for all the processor time of this process.

    Its reading is a pipe, filled at the moment it is opened: like sysfs, and never late on a busy machine. It stands
    close before its range, so that it starts anew while it is measured.
    """
    package = zone(root / "intel-rapl:0", "package-0")
    reading, following = package / "energy_uj", package / ".energy_uj"
    reading.unlink()
    os.mkfifo(reading)
    over = threading.Event()

    def run() -> None:
        start_s, cpu_s = time.perf_counter(), time.process_time()
        while not over.is_set():
            with reading.open("w") as pipe:
                os.mkfifo(following)
                following.replace(reading)  # the next reader gets a pipe of its own
                joules = idle_w * (time.perf_counter() - start_s) + busy_w * (time.process_time() - cpu_s)
                pipe.write(f"{round(RANGE_UJ - 1_000_000 + joules * 1e6) % RANGE_UJ}\n")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield root
    finally:
        over.set()
        reading.read_text()
        thread.join()
