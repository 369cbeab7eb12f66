"""Every error that moco raises on purpose: what was expected, what came, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from moco.redaction import starred


class MocoError(Exception):
    """Base of all of moco's errors; the command line prints its text as one line and exits with `exit_code`."""

    exit_code = 1

    def __str__(self) -> str:
        """The text, with passwords of addresses starred, whoever has quoted them."""
        return starred(super().__str__())


class ConfigError(MocoError):
    """The experiment, an option or a bound is not valid; names the key path and the nearest valid value."""

    exit_code = 2


class DataError(MocoError):
    """A data set or a file of weights is missing, empty, malformed or does not fit the network."""


class SpaceError(MocoError):
    """A search space or a policy does not fit the network: the layer or the parameter is named."""


class CompressionError(MocoError):
    """A network cannot be traced, pruned or exported, or what was done is not what was asked."""


class MeasurementError(MocoError):
    """A metric cannot be measured here, or a measurement is not valid."""


class LostError(MocoError):
    """Base of what ends a search and is no fault of any candidate's."""

    trials: tuple[Any, ...] = ()  # those that the search had finished; they are in its ledger too


class DeviceLostError(LostError):
    """The device that files run on has gone away, for now: no fault of any file's, and no trial is made of it."""


class RunFolderError(MocoError):
    """The run folder cannot be written, belongs to another experiment, or cannot be resumed."""

    exit_code = 2


class RunFailedError(RunFolderError):
    """The disk, or the database of the ledger, failed while a search was using it: no fault of what was asked."""

    exit_code = 1


class WorkersLostError(LostError):
    """Worker processes died again and again: no fault of a policy's; finished trials are kept."""


class DeadlyPolicyError(WorkersLostError):
    """They died at one policy: a failed trial, unless others end so too."""


class PolicyRejectedError(Exception):
    """A policy cannot be built on this target: the trial ends as `rejected(reason)` and the search goes on."""


def in_one_line(error: BaseException) -> str:
    """Class and text of any exception as one line, also where there is no text, or it has several lines, or raises."""
    try:
        text = " ".join(str(error).split())
    except BaseException as broken:  # others wrote it: its text may fail in any way
        text = f"(its text cannot be read: {type(broken).__name__})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


LONGEST_LINE = 1000
"""Characters of an error on a terminal: what it quotes may be a whole file."""


def escaped(text: str) -> str:
    """A text with the characters that a terminal does not show, or obeys, written as escapes."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def printed(text: str) -> str:
    """A text as one line for a terminal: control characters as escapes, a long one without its middle."""
    line = escaped(" ".join(text.split()))
    half = LONGEST_LINE // 2
    return line if len(line) <= LONGEST_LINE else f"{line[:half]} … {line[-half:]}"


def nearest(name: str, valid: Iterable[str]) -> str:
    """Text that ends an error message: the nearest of the valid names, or all of them."""
    names = sorted(valid)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; valid: {', '.join(names)}"
