"""Builders as a search makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from moco.compression.compressor import Compressor
from moco.evaluation.builder import Builder
from moco.recovery.batch_norm import BatchNormStep
from moco.recovery.recovery import RecoveryPlan


def builder_of(compressor: Compressor, calibration: np.ndarray, plan: RecoveryPlan | bool, folder: Path) -> Builder:
    """A builder; True and False are the plans that re-estimate batch-norm alone, and nothing."""
    plan = (RecoveryPlan((BatchNormStep(),)) if plan else RecoveryPlan()) if isinstance(plan, bool) else plan
    finite = len(calibration) > 0 and bool(np.isfinite(calibration).all())
    plan = plan if finite else RecoveryPlan()
    return Builder(compressor, calibration, plan, folder)
