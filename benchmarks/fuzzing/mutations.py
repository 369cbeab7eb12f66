"""Mutations of texts, nested values, bytes and SQLite databases; each a function of a seeded generator alone."""

from __future__ import annotations

import copy
import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

EVIL: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    10**6,
    10**9,
    10**17,
    10**30,
    -(10**9),
    0.0,
    -0.5,
    0.5,
    1.5,
    1e-300,
    1e12,
    1e300,
    math.inf,
    -math.inf,
    math.nan,
    "",
    " ",
    "x",
    "0.5",
    "1e9",
    "nan",
    "none",
    "null",
    "a/b",
    "../..",
    "~",
    "~nobody-here/x",
    "/dev/zero",
    "/proc/self/mem",
    "a\0b",
    "a\nb",
    "\x1b[31m",
    "\ud800",
    "é",
    "<script>",
    "'; DROP TABLE trials; --",
    "${HOME}",
    "{0}",
    "%s",
    "os:system",
    "x" * 5000,
    [],
    {},
    [[]],
    [None],
    [0],
    [1, 0],
    [0.3, 1.0],
    ["x"],
    {"x": 1},
    {"name": "x"},
    {"import": "os:getcwd"},
    {"": 1},
    [1] * 50,
    ("!tuple",),
    b"bytes",
    {"a": {"b": {"c": {"d": 1}}}},
)
"""Values that somebody may write anywhere."""

TOKENS = (
    "\t",
    "\0",
    "\ufeff",
    "\x07",
    "\r",
    "\n",
    "  ",
    ":",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "<<: *a",
    "!!bool x",
    "!!python/name:os.system",
    "!!binary eA==",
    "!!set {x}",
    "!x ",
    "? ",
    "| ",
    ">",
    "#",
    "---\n",
    "...\n",
    "0x10",
    "010",
    "1:30",
    "1_000",
    "1e400",
    "1.0e+400",
    ".inf",
    ".nan",
    "9" * 5000,
    "~",
    "null",
    "yes",
    "2020-01-01",
    "2020-13-45",
    "'",
    '"',
    '"\\ud800"',
    '"\\0"',
    '"\\x1b"',
    "%YAML 1.1\n",
    "@",
    "`",
    "[" * 2000,
    "{a: " * 500,
    "\N{LINE SEPARATOR}",
    "\N{PILE OF POO}",
)
"""Pieces of YAML and JSON that mean something to their readers."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values within, the value's own included."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def mutated_values(value: Any, rng: Random) -> Any:
    """A copy with one change: another value, a key that is gone, new, renamed or moved, a list cut or repeated."""
    value = copy.deepcopy(value)
    path = rng.choice([path for path in places(value) if path] or [()])
    if not path:
        return rng.choice(EVIL)
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    key = path[-1]
    change = rng.randrange(8)
    if change <= 3:
        holder[key] = _near(holder[key], rng) if rng.random() < 0.4 else rng.choice(EVIL)
    elif change == 4:
        del holder[key]
    elif change == 5 and isinstance(holder, dict):
        holder[_misspelt(str(key), rng)] = holder.pop(key)
    elif change == 6:
        holder[key] = [holder[key]] if rng.random() < 0.5 else {str(key): holder[key]}
    elif isinstance(holder, dict):
        holder[rng.choice(["x", "name", "import", "", "seed", "<<", "options", "format", str(key) + "s"])] = rng.choice(
            EVIL
        )
    else:
        holder.extend(holder * rng.choice([1, 20]))
    return value


def _near(value: Any, rng: Random) -> Any:
    """A value of the same kind, near or far."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return rng.choice(
            [-value, value + 1, value * 1000, value * 10**9, value / 3, 0 * value, float(value), str(value)]
        )
    if isinstance(value, str):
        return _misspelt(value, rng)
    return [value, value]


def _misspelt(text: str, rng: Random) -> str:
    place = rng.randrange(len(text) + 1)
    return rng.choice(
        [
            text[:place] + text[place + 1 :],
            text[:place] + rng.choice("x.0 \n-:~") + text[place:],
            text.upper(),
            text + " ",
            text * 2,
        ]
    )


def mutated_text(text: str, rng: Random) -> str:
    """The text with a piece put in, cut out, repeated, swapped or taken away at its end."""
    start, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
    end = min(end, start + rng.choice([1, 5, 40, 400]))
    lines = text.splitlines(keepends=True) or [""]
    line = rng.randrange(len(lines))
    return rng.choice(
        [
            text[:start] + rng.choice(TOKENS) + text[start:],
            text[:start] + rng.choice(TOKENS) + text[end:],
            text[:start] + text[end:],
            text[:start] + text[start:end] * 2 + text[end:],
            text[:start],
            "".join([*lines[: line + 1], *lines[line:]]),
            "".join([*lines[:line], " " * rng.randrange(1, 5) + lines[line], *lines[line + 1 :]]),
            "".join([*lines[:line], *lines[line + 1 :]]),
        ]
    )


def mutated_bytes(content: bytes, rng: Random) -> bytes:
    """The bytes with some bits flipped, a part set to zero or to noise, cut out or doubled, or the end missing."""
    if not content:
        return rng.randbytes(16)
    found, start = bytearray(content), rng.randrange(len(content))
    length = rng.choice([1, 8, 100, 4096])
    change = rng.randrange(6)
    if change == 0:
        for _ in range(rng.choice([1, 5, 50])):
            found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    elif change == 1:
        found[start : start + length] = bytes(len(found[start : start + length]))
    elif change == 2:
        found[start : start + length] = rng.randbytes(length)
    elif change == 3:
        del found[start:]
    elif change == 4:
        del found[start : start + length]
    else:
        found[start:start] = found[start : start + length]
    return bytes(found)


def mutate_database(path: Path, rng: Random) -> None:
    """Change a row, a cell, or a table of a SQLite database; a file that is none gets other bytes."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as database:
        names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
        tables = [name for (name,) in database.execute(names)]
        filled = [name for name in tables if database.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0]]
        table = rng.choice(filled)
        columns = [column[1] for column in database.execute(f'PRAGMA table_info("{table}")')]
        column = rng.choice(columns)
        count = database.execute(f'SELECT COUNT(*) FROM "{table}"').fetchone()[0]
        (row,) = database.execute(f'SELECT rowid FROM "{table}" LIMIT 1 OFFSET ?', [rng.randrange(count)]).fetchone()
        (cell,) = database.execute(f'SELECT "{column}" FROM "{table}" WHERE rowid = ?', [row]).fetchone()
        values: list[Any] = [None, "", "x", -1, 10**15, 1e300, b"\xff\x00", "{", "{}", "[]", "NaN"]
        if isinstance(cell, str) and cell:
            values += [mutated_text(cell, rng) for _ in range(8)]
        statements: list[tuple[str, list[Any]]] = [
            (f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', [rng.choice(values), row]),
            (f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', [rng.choice(values), row]),
            (f'UPDATE "{table}" SET "{column}" = ?', [rng.choice(values)]),
            (f'DELETE FROM "{table}" WHERE rowid = ?', [row]),
            (f'DELETE FROM "{table}"', []),
            (f'DROP TABLE "{table}"', []),
            (f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO other', []),
        ]
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute(*rng.choice(statements))
        database.commit()


def several(one: Callable[[Any, Random], Any], value: Any, seeds: list[str]) -> Any:
    """The value after one mutation a seed: to leave a seed out is to leave its mutation out."""
    for seed in seeds:
        value = one(value, Random(seed))
    return value
