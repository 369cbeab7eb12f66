"""Why the target tvm cannot be tested here."""

from __future__ import annotations

import shutil

from moco.optional import installed


def tvm_lack() -> str:
    """What is missing, in words; empty where nothing is."""
    if not installed("tvm"):
        return "needs apache-tvm, which is not installed here: pip install 'moco[tvm]'"
    return "" if shutil.which("g++") else "needs g++, which links what TVM compiles"
