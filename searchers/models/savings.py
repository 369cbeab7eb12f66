"""What cost follows from how far parameters compress: each layer has its share, and what is kept of it multiplies.

What a policy saves is a product within a layer (ranks, filters and bits that are kept), filters that a layer loses are
inputs that the next one loses, and layers add up. Of a policy whose column c of kind k has depth d_c:

    cost = C (o + (1 - o) sum_i s_i exp(sum_(c in i) a_k l_c + sum_(c in i-1) b_k l_c)),    sum_i s_i = 1

with l_c the logarithm of what is kept: log(1 - r_k d_c) of a number, -d_c log(high / low) of one on a log scale, -d_c
of a choice. Columns that belong to no layer, such as bits of the whole network, multiply all of them. All that is not
known has a normal prior; here each is given as a standard normal number:

| coordinates z | of |
|---|---|
| one a layer | log s_i, but for a constant |
| three a kind | a_k, b_k and the logit of r_k |
| two | the logit of o, and log C |
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

SHARE_SD = 1.2  # of the logarithms of the layers' shares
OWN, OWN_SD = 0.9, 0.5  # a_k
NEXT, NEXT_SD = 0.3, 0.5  # b_k
FAR, FAR_SD = 2.0, 1.0  # logit of r_k: what is kept at the far end is 0.12, 0.05 or 0.27
OVERHEAD, OVERHEAD_SD = -4.0, 1.5  # logit of o
WHOLE_SD = 0.1  # of log C, about the largest that was told
MOST = 0.999  # of r_k d_c
LARGEST = 30.0  # logits and exponents beyond it are the same


@dataclass(frozen=True)
class Savings:
    """The logarithm of a cost as a function of the coordinates z.

    Attributes:
        columns: (c,) of the inputs, those that compress.
        kinds: (c,) index of each one's kind; those without a layer have a kind of their own.
        rates: (c,) log(high / low) of those on a log scale, 1 of choices, 0 of other numbers.
        own: (c, layers) 1 for the layers that a column belongs to.
        before: (c, layers) 1 for the layers that come after them.
        whole: logarithm of C that is expected.
    """

    columns: np.ndarray
    kinds: np.ndarray
    rates: np.ndarray
    own: np.ndarray
    before: np.ndarray
    whole: float = 0.0

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return self._n_layers + 3 * self._n_kinds + 2

    def about(self, values: np.ndarray) -> Savings:
        """The same, where these logarithms of costs (n,) were told."""
        return replace(self, whole=float(np.max(values)))

    def values(self, z: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logarithm of the cost (n,) of inputs (n, width), and its slopes (n, size) with the coordinates z (size,)."""
        layers, own_z, next_z, far_z, (over_z, whole_z) = np.split(z, self._ends)
        depth, of_kind = inputs[:, self.columns], np.eye(self._n_kinds)[self.kinds]
        a, b = (OWN + OWN_SD * own_z)[self.kinds], (NEXT + NEXT_SD * next_z)[self.kinds]
        far = _logistic(FAR + FAR_SD * far_z)[self.kinds]
        lost = np.minimum(far * depth, MOST)
        kept = np.where(self.rates > 0, -self.rates * depth, np.log1p(-lost))
        share = np.exp(SHARE_SD * (layers - np.max(layers)))
        share /= share.sum()
        overhead = float(_logistic(OVERHEAD + OVERHEAD_SD * over_z))
        terms = share * np.exp(np.clip((a * kept) @ self.own + (b * kept) @ self.before, -LARGEST, LARGEST))
        total = overhead + (1 - overhead) * terms.sum(axis=1)

        q = (1 - overhead) * terms / total[:, None]  # with the exponent of each layer
        by_own, by_next = q @ self.own.T, q @ self.before.T
        by_far = np.where((self.rates > 0) | (lost >= MOST), 0.0, -depth / (1 - lost)) * far * (1 - far)
        slopes = [
            SHARE_SD * (q - share * q.sum(axis=1, keepdims=True)),
            OWN_SD * (kept * by_own) @ of_kind,
            NEXT_SD * (kept * by_next) @ of_kind,
            FAR_SD * (by_far * (a * by_own + b * by_next)) @ of_kind,
            (OVERHEAD_SD * overhead * (1 - overhead) * (1 - terms.sum(axis=1)) / total)[:, None],
            np.full((len(inputs), 1), WHOLE_SD),
        ]
        return self.whole + WHOLE_SD * whole_z + np.log(total), np.hstack(slopes)

    @property
    def _n_layers(self) -> int:
        return self.own.shape[1]

    @property
    def _n_kinds(self) -> int:
        last: int = self.kinds.max()
        return last + 1

    @property
    def _ends(self) -> np.ndarray:
        """Where the parts of z end."""
        return self._n_layers + self._n_kinds * np.arange(4)


def _logistic(logit: np.ndarray | float) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -LARGEST, LARGEST))))
