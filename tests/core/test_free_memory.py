"""Free memory, with control groups as Linux writes them."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from moco.free_memory import free_bytes


def group(folder: Path, limit: str, taken: str, cache: str, given: tuple[object, int, int]) -> None:
    """A group with that limit, that takes so many bytes, so many of them a cache."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / limit).write_text(f"{given[0]}\n", encoding="utf-8")
    (folder / taken).write_text(f"{given[1]}\n", encoding="utf-8")
    (folder / "memory.stat").write_text(f"anon 7\n{cache} {given[2]}\nshmem 3\n", encoding="utf-8")


def of_2(folder: Path, *given: object) -> None:
    group(folder, "memory.max", "memory.current", "inactive_file", given)  # type: ignore[arg-type]


def memberships(folder: Path, text: str) -> Path:
    (folder / "memberships").write_text(text, encoding="utf-8")
    return folder / "memberships"


def test_a_group_leaves_its_limit_less_what_is_taken_and_no_cache(tmp_path: Path) -> None:
    of_2(tmp_path / "work" / "inner", 1000, 700, 50)
    assert free_bytes(memberships(tmp_path, "0::/work/inner\n"), tmp_path) == 350


def test_the_group_around_that_leaves_least_counts(tmp_path: Path) -> None:
    of_2(tmp_path / "work" / "inner", "max", 700, 0)
    of_2(tmp_path / "work", 900, 800, 0)
    of_2(tmp_path, 5000, 900, 0)
    assert free_bytes(memberships(tmp_path, "0::/work/inner\n"), tmp_path) == 100


def test_groups_of_the_first_version_are_read_by_their_own_names(tmp_path: Path) -> None:
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    group(tmp_path / "memory" / "box", *names, (1000, 400, 100))
    found = memberships(tmp_path, "3:cpu,cpuacct:/elsewhere\n2:memory:/box\n")
    assert free_bytes(found, tmp_path) == 700


def test_a_group_that_takes_more_than_it_may_leaves_nothing(tmp_path: Path) -> None:
    of_2(tmp_path, 100, 500, 0)
    assert free_bytes(memberships(tmp_path, "0::/\n"), tmp_path) == 0


@pytest.mark.parametrize("text", [None, "0::/not/seen/from/here\n", "1:name=systemd:/\n"])
def test_without_a_bound_it_is_what_the_machine_has_free(tmp_path: Path, text: str | None) -> None:
    found = tmp_path / "absent" if text is None else memberships(tmp_path, text)
    assert 0 < free_bytes(found, tmp_path) <= psutil.virtual_memory().total
