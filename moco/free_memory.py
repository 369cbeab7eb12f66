"""How much memory this process may still take: what the machine has free, and what its control groups leave it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MEMBERSHIPS, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class _Files:
    """By what names a group tells its limit, what it takes, and what of that is a cache that can be given up."""

    limit: str
    taken: str
    cache: str


VERSION_1 = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
VERSION_2 = _Files("memory.max", "memory.current", "inactive_file")


def free_bytes(memberships: Path = MEMBERSHIPS, groups: Path = GROUPS) -> int:
    """Bytes that can be taken before the system swaps, or ends a process of the machine or of a group of this one.

    `memberships` is a file as Linux has of every process, and `groups` is where control groups are mounted; elsewhere
    there are none.
    """
    left = [left for folder, files in _groups_of(memberships, groups) if (left := _left(folder, files)) is not None]
    return max(0, min([int(psutil.virtual_memory().available), *left]))


def _groups_of(memberships: Path, groups: Path) -> Iterator[tuple[Path, _Files]]:
    """The folders of the groups that bound this process's memory: its own and those around it, as far as one sees."""
    try:
        lines = memberships.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", maxsplit=2)
        if controllers and "memory" not in controllers.split(","):
            continue
        mounted, files = (groups / "memory", VERSION_1) if controllers else (groups, VERSION_2)
        own = Path(path.lstrip("/"))
        for group in (own, *own.parents):
            yield mounted / group, files


def _left(folder: Path, files: _Files) -> int | None:
    """What the group may still take; None where it is not bounded, or not seen from here."""
    with suppress(OSError, ValueError):  # `max` is no number: no bound
        limit, taken = (int((folder / name).read_text(encoding="utf-8")) for name in (files.limit, files.taken))
        return limit - taken + _cache(folder, files.cache)
    return None


def _cache(folder: Path, name: str) -> int:
    with suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name} "):
                return int(line.split()[1])
    return 0
