"""Why the target litert cannot be tested here."""

from __future__ import annotations

import os

from moco.optional import installed


def litert_lack() -> str:
    """What is missing, in words; empty where nothing is."""
    if not installed("ai_edge_litert"):
        return "needs ai-edge-litert, which is not installed here: pip install 'moco[litert]'"
    return "" if os.environ.get("MOCO_LITERT_PYTHON") else "needs a converter, named by MOCO_LITERT_PYTHON"
