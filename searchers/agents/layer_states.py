"""What an agent sees of a layer before it acts: features with a fixed scaling, computed from the space alone (W20).

`s1` (S1.31) are the 13 features of the Chalmers thesis where a layer has one action; `s3` those of Galen:

| feature | s1 | s3 | scaling |
|---|---|---|---|
| index (the place in the walk where a space gives none), kernel, stride | x | x | linear |
| is_linear, input_height, input_width | x | | linear |
| out_channels, in_channels, weights, macs | x | x | logarithmic |
| macs_after: of all layers that follow, uncompressed, over the network's | x | x | share |
| kl_*: divergences of a sensitivity analysis, in nats | | x | logarithmic |
| the executed actions of the layer before (1 before the first) | x | x | share |
| macs of the network as compressed so far, over the uncompressed network's | x | x | share |
| bops likewise | | x | share |

Three more are of no paper: where exact bounds are kept, the share of what is left to decide that they leave; with the
option `identity`, which layer it is; with `history`, the executed actions of all layers before, 0 for the others.

Linear and logarithmic columns are scaled so that the layers of the space span [-1, 1]: counts and divergences differ by
factors, hence the logarithm. Shares in [0, 1] become [-1, 1]. A feature that no layer has is left out, and a layer that
lacks one that others have is given 0, the middle. Uncompressed BOPs are 1,024 times the MACs, so they are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moco.space import LayerGroup

S1, S3 = "s1", "s3"
SENSITIVITY = "kl_"  # what names of features that a sensitivity analysis gave begin with
LINEAR = {
    S1: ("index", "is_linear", "input_height", "input_width", "stride", "kernel"),
    S3: ("index", "stride", "kernel"),
}
LOGARITHMIC = ("out_channels", "in_channels", "weights", "macs")
AFTER = "macs_after"
REMAINING = {S1: ("macs",), S3: ("macs", "bops")}
LEAST_DIVERGENCE = 1e-4  # nats; divergences below it are noise of the analysis, and as good as none


def static_features(groups: Sequence[LayerGroup], state: str, identity: bool) -> np.ndarray:
    """(groups, features) in [-1, 1] that no action changes; with `identity` one more for each, 1 for itself alone."""
    known = dict.fromkeys(name for group in groups for name in group.features)
    columns = [] if "index" in known else [_spanning(np.arange(len(groups), dtype=float))]
    columns += [_spanning(_column(groups, name)) for name in LINEAR[state] if name in known]
    columns += [_spanning(np.log(np.maximum(_column(groups, name), 1.0))) for name in LOGARITHMIC if name in known]
    if AFTER in known:
        columns.append(_share_after(groups))
    if state == S3:
        divergences = [_column(groups, name) for name in known if name.startswith(SENSITIVITY)]
        columns += [_spanning(np.log(np.maximum(column, LEAST_DIVERGENCE))) for column in divergences]
    if identity:
        columns += list(np.eye(len(groups)))
    return np.stack(columns, axis=1)


def centred(share: np.ndarray | float) -> np.ndarray:
    """A share in [0, 1] as a feature in [-1, 1]."""
    return 2.0 * np.clip(share, 0.0, 1.0) - 1.0


def _column(groups: Sequence[LayerGroup], name: str) -> np.ndarray:
    """(groups,), NaN where a group lacks the feature."""
    return np.array([group.features.get(name, np.nan) for group in groups])


def _spanning(column: np.ndarray) -> np.ndarray:
    """The column moved and stretched to span [-1, 1]; 0 where there is nothing to tell."""
    low, high = np.nanmin(column), np.nanmax(column)
    if low == high:
        return np.zeros_like(column)
    return np.asarray(np.nan_to_num(2 * (column - low) / (high - low) - 1, nan=0.0))


def _share_after(groups: Sequence[LayerGroup]) -> np.ndarray:
    """MACs of the layers that follow, over those of the network: the most that follow a layer, and its own."""
    after, own = np.nan_to_num(_column(groups, AFTER)), np.nan_to_num(_column(groups, "macs"))
    total = float(np.max(after + own))
    return centred(after / total) if total > 0 else np.zeros(len(groups))
