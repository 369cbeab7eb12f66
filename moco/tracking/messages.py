"""What other libraries say, as a user may see it: routine messages not at all, errors as one line."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from moco.redaction import starred


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Raise the level of these loggers to ERROR inside the block, and put back what was there."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def error_line(error: BaseException, hide: Callable[[str], str] = starred) -> str:
    """The error as one line of at most 300 characters, without what `hide` takes out."""
    text = hide(str(error)).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:300]}" if text else type(error).__name__
