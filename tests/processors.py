"""What a test asks of this machine's processor."""

from __future__ import annotations

import pytest

from moco.hardware.measuring.processor import processor

exact_integers = pytest.mark.skipif(
    not processor().int8_exact,
    reason="without dot products of bytes (VNNI) the runtime's sums of 8-bit products overflow: other answers",
)
