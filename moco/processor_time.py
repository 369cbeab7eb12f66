"""Processor time of this process with its children: what different ways of compressing a network are compared by."""

from __future__ import annotations

import resource


def processor_s() -> float:
    """Seconds of processor time so far, in user code and the kernel, of all threads and of children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)
