"""YAML of the user's as plain values: bounded in size and depth, and without what readers of YAML disagree about.

Aliases count as often as they stand, so that a few lines cannot stand for millions of values. A number is decimal: to
YAML 1.1 `010`, `0x10`, `1_000` and `1:30` are numbers too, to YAML 1.2 and to most people some of them are not.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from moco.errors import ConfigError, escaped, in_one_line

MOST_BYTES = 256 * 1024
"""Of a text: the longest of moco's own has 4 KiB, and PyYAML reads some 100 KiB a second."""
MOST_VALUES = 20_000
"""Keys and values, aliases expanded."""
MOST_DEPTH = 50

_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_DECIMAL_FLOAT = re.compile(
    r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\Z|[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z"
)
_TAG = "tag:yaml.org,2002:"
_PLAIN = frozenset(f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value"))
_MOST_DIGITS = 19
_QUOTED = 160  # characters that a message quotes


def plain_values(text: str, where: str) -> Any:
    """What the text says, as PyYAML's safe loader makes it; a ConfigError says in one line what is wrong with it."""
    if len(text) > MOST_BYTES:
        raise ConfigError(f"{where}: expected at most {MOST_BYTES} characters, got {len(text)}")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _Checked(where).size(node, 0)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise ConfigError(f"{where}{line}: not valid YAML: {_printable(error.problem or error.context)}") from None
    except RecursionError:
        raise ConfigError(f"{where}: not valid YAML: it is nested more than {MOST_DEPTH} deep") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not valid YAML: {_printable(' '.join(str(error).split()))}") from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:  # PyYAML's constructors of values raise these
        raise ConfigError(f"{where}: not valid YAML: {_printable(in_one_line(error))}") from None


class _Checked:
    """Walks a document once, each anchor once, and refuses what no experiment needs."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._sizes: dict[int, int | None] = {}  # by the identity of a node; None while it is being walked

    def size(self, node: yaml.Node, depth: int) -> int:
        """Number of values in the node, aliases expanded."""
        if id(node) in self._sizes:
            known = self._sizes[id(node)]
            if known is None:
                raise self._refusal(node, "an alias lies within what it stands for")
            return known
        if depth > MOST_DEPTH:
            raise self._refusal(node, f"it is nested more than {MOST_DEPTH} deep")
        self._sizes[id(node)] = None
        total = 1 + sum(self.size(child, depth + 1) for child in self._children(node))
        if total > MOST_VALUES:
            raise self._refusal(node, f"expected at most {MOST_VALUES} values, aliases expanded; here are more")
        self._sizes[id(node)] = total
        return total

    def _children(self, node: yaml.Node) -> list[yaml.Node]:
        if isinstance(node, yaml.ScalarNode):
            self._check(node)
            return []
        if node.tag not in (f"{_TAG}seq", f"{_TAG}map"):
            raise self._refusal(node, f"the tag '{_short(node.tag)}' is not taken")
        if isinstance(node, yaml.MappingNode):
            self._refuse_repeated_keys(node)
            return [part for pair in node.value for part in pair]
        return list(node.value)

    def _check(self, node: yaml.ScalarNode) -> None:
        """Pass text, and a value whose text is of its kind: `!!bool x` is none."""
        if node.tag not in _PLAIN:
            raise self._refusal(node, f"the tag '{_short(node.tag)}' is not taken")
        if node.tag == f"{_TAG}str":
            return
        text, kind = str(node.value), node.tag.removeprefix(_TAG)
        as_read = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        if as_read != node.tag and not (kind == "float" and _DECIMAL.match(text)):
            raise self._refusal(node, f"'{_printable(text)}' is no {kind}")
        is_decimal = _DECIMAL.match(text) or (kind == "float" and _DECIMAL_FLOAT.match(text))
        if kind in {"int", "float"} and not is_decimal:
            raise self._refusal(
                node, f"'{_printable(text)}' is a number to some readers only; write it in decimal, or quote it"
            )
        if kind == "int" and len(text) > _MOST_DIGITS:
            raise self._refusal(
                node, f"expected a whole number of at most {_MOST_DIGITS} digits, got one of {len(text)}"
            )

    def _refuse_repeated_keys(self, node: yaml.MappingNode) -> None:
        """A key that stands twice would silently win over the first."""
        seen: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise self._refusal(key, "a key is no list and no mapping")
            if (key.tag, key.value) in seen:
                before = seen[key.tag, key.value]
                raise ConfigError(
                    f"{self._where}, line {line}: the key '{_printable(key.value)}' stands in line {before} already"
                )
            seen[key.tag, key.value] = line

    def _refusal(self, node: yaml.Node, why: str) -> ConfigError:
        mark = node.start_mark
        return ConfigError(f"{self._where}, line {mark.line + 1}, column {mark.column + 1}: {why}")


def _short(tag: str) -> str:
    return _printable(f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag)


def _printable(text: object) -> str:
    """The beginning of a text, as a message quotes it."""
    shown = escaped(str(text)[:200])
    return shown if len(shown) <= _QUOTED else f"{shown[:_QUOTED]}…"
