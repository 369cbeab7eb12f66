"""What the original network answers on the images that a candidate is trained on: asked once, where memory allows."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

from moco.compression.counting import count
from moco.errors import CompressionError
from moco.export.calibration import open_session, outputs
from moco.export.folding import fold, foldable_pairs
from moco.export.template import build_template
from moco.models.arithmetic import Arithmetic, computing_in, lay_out, memory_order
from moco.models.augmentation import View
from moco.models.training import Batch

ANSWERS_BYTES = 10**9
"""Most memory that a teacher's answers may take; where a plan's views need more, it answers in each step."""
BATCH = 16
"""Images that are shown at once: few enough for their feature maps to stay in the processor's cache."""
RUNTIME_MACS = 10**12
"""Multiply-accumulates of a view from which on a quicker way saves more seconds than it takes to make it."""


class Teacher:
    """What a network answers on a set of images, normalised, (n, channels, height, width).

    It answers in evaluation mode and is never changed. Where its images are seen in views that come round (`View`), and
    the answers of all of them take at most `ANSWERS_BYTES`, it is shown a whole view once, when that is first asked
    for, in the order of the set: so an answer never depends on who asked first, or on what was interrupted.
    """

    def __init__(self, network: nn.Module, images: Tensor, arithmetic: Arithmetic = "float32") -> None:
        """Take a copy of the network."""
        self._network, self._images, self._arithmetic = copy.deepcopy(network).eval(), images, arithmetic
        self._order = memory_order(self._network, images)
        lay_out(self._network, self._order)
        self._answers: dict[View, Tensor] = {}
        self.views_answered, self.answered_s = 0, 0.0  # whole views, and the processor seconds that they took

    def __len__(self) -> int:
        return len(self._images)

    def answers(self, batch: Batch) -> Tensor:
        """Its logits of the batch's images, (batch, classes), in float32."""
        view = batch.view
        if view is None or not self._remembers(view):
            return self._answered(batch.images)
        if view not in self._answers:
            while len(self._answers) >= (view.of or 1):  # of another seed, or moved or mirrored otherwise
                del self._answers[next(iter(self._answers))]
            began_s = time.thread_time()
            parts = torch.split(torch.arange(len(self)), BATCH)
            self._answers[view] = torch.cat([self._quickly(view.shown(self._images, rows)) for rows in parts])
            self.views_answered, self.answered_s = (
                self.views_answered + 1,
                self.answered_s + time.thread_time() - began_s,
            )
        return self._answers[view][batch.rows]

    def _remembers(self, view: View) -> bool:
        return view.of is not None and view.of * len(self) * self._bytes_of_an_answer <= ANSWERS_BYTES

    def _answered(self, images: Tensor, network: nn.Module | None = None) -> Tensor:
        with torch.no_grad(), computing_in(self._arithmetic):
            answers: Tensor = (network or self._network)(images.contiguous(memory_format=self._order))
        return answers.float()

    @cached_property
    def _bytes_of_an_answer(self) -> int:
        answer = self._answered(self._images[:1])
        return answer.numel() * answer.element_size()

    @cached_property
    def _quickly(self) -> Callable[[Tensor], Tensor]:
        """Its answers by the quicker way for a whole view, each by a third.

        In float32 that is ONNX Runtime, in bfloat16 the network with its batch-norms folded.
        """
        macs = count(self._network, self._images.shape[1:]).macs * len(self)
        if macs < RUNTIME_MACS:
            return self._answered
        if self._arithmetic != "float32":
            folded = fold(self._network, foldable_pairs(self._network, self._images[:2]))
            lay_out(folded, self._order)
            return lambda images: self._answered(images, folded)
        try:
            network = copy.deepcopy(self._network)
            lay_out(network, torch.contiguous_format)
            session = open_session(build_template(network, self._images[:2]).render(network))
        except CompressionError:  # it cannot be exported
            return self._answered
        return lambda images: torch.from_numpy(outputs(session, images.contiguous().numpy())[0])
