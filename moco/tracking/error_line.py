"""An error of a tracker as a warning has it."""

from __future__ import annotations

from collections.abc import Callable

from moco.redaction import starred


def error_line(error: BaseException, hide: Callable[[str], str] = starred) -> str:
    """The error as one line of at most 300 characters, without what `hide` takes out."""
    text = hide(str(error)).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:300]}" if text else type(error).__name__
