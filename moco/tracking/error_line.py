"""An error of a tracker as a warning has it."""

from __future__ import annotations


def error_line(error: BaseException) -> str:
    """The error as one line of at most 300 characters."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:300]}" if text else type(error).__name__
