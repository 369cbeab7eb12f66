"""A network of a file for one size of batch, ready to run: where, compiled or not, in which numbers and order.

On CUDA the calls of a batch are captured once as a CUDA graph; each run copies images in and logits out, as a deploying
program would, and returns when the device has finished.
"""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, fx

from moco.hardware.onnx_network.network import Network
from moco.optional import installed

DEVICES = ("cpu", "cuda")
ARITHMETICS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LAYOUTS = {"channels_first": torch.contiguous_format, "channels_last": torch.channels_last}
WARM_UP = 3  # calls before a CUDA graph is captured, as torch's manual asks


@dataclass(frozen=True)
class Way:
    """How a network is run; what the names stand for, the options of the target say."""

    device: str
    compiled: bool
    arithmetic: str
    layout: str


class Prepared:
    """A network for batches of one size, with memory for its images."""

    def __init__(self, network: Network, batch: int, way: Way) -> None:
        """Place, compile and capture the network; raises whatever torch raises."""
        module = _placed(network.module(batch), way)
        self._host = torch.empty(batch, *network.image_shape, pin_memory=way.device == "cuda")
        self._images = self._host if way.device == "cpu" else self._host.to(way.device)
        self._forward: Callable[[Tensor], Tensor] = _compiled(module, way) if way.compiled else module
        self._replay: Callable[[], object] | None = None
        with torch.inference_mode():
            if way.device == "cuda":
                self._capture()
            elif way.compiled:
                with warnings.catch_warnings():  # torch's about its own code
                    warnings.simplefilter("ignore")
                    self._forward(self._images.zero_())

    def run(self, images: np.ndarray) -> np.ndarray:
        """Logits (n, classes), a copy."""
        np.copyto(self._host.numpy(), images)
        with torch.inference_mode():
            if self._replay is None:
                return np.array(self._forward(self._images).numpy())
            self._images.copy_(self._host, non_blocking=True)
            self._replay()
            return np.array(self._logits.cpu().numpy())  # waits for the device

    def _capture(self) -> None:
        """Record the kernels of a call once, to be launched together from then on."""
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                with warnings.catch_warnings():  # torch's about its own code, while it compiles
                    warnings.simplefilter("ignore")
                    self._forward(self._images)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._logits = self._forward(self._images)
        self._replay = graph.replay


def has_bfloat16(device: str) -> bool:
    """Whether the device computes in bfloat16 by instructions of its own."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # torch publishes no other way to ask


def compiler_lack(device: str) -> str:
    """What torch.compile needs and this machine lacks, with what to do; empty where it lacks nothing."""
    if device == "cuda" and not installed("triton"):
        return "torch.compile on CUDA needs triton: pip install triton"
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        return f"torch.compile needs a C++ compiler and '{compiler}' is not here: install g++, or set CXX"
    return ""


def _placed(module: fx.GraphModule, way: Way) -> fx.GraphModule:
    """The module in that arithmetic and layout, on that device, still from float32 images to float32 logits."""
    kind, layout = ARITHMETICS[way.arithmetic], LAYOUTS[way.layout]
    for name, tensor in list(module.named_buffers()):
        module.register_buffer(name, tensor.to(memory_format=layout) if tensor.dim() == 4 else tensor)
    for node in module.graph.nodes:
        node.args = fx.node.map_aggregate(node.args, lambda value: kind if value is torch.float32 else value)
        node.kwargs = fx.node.map_aggregate(node.kwargs, lambda value: kind if value is torch.float32 else value)
        if node.op == "placeholder":
            images = node
        elif node.op == "output":
            logits = node
    with module.graph.inserting_after(images):
        placed = module.graph.call_method("to", (images,), {"dtype": kind, "memory_format": layout})
    images.replace_all_uses_with(placed, delete_user_cb=lambda user: user is not placed)
    if kind is not torch.float32:
        with module.graph.inserting_before(logits):
            logits.args = (module.graph.call_method("float", logits.args),)
    module.recompile()
    return module.to(way.device, kind)


def _compiled(module: fx.GraphModule, way: Way) -> Callable[[Tensor], Tensor]:
    """The module compiled for one size of batch; on the processor with its weights in the kernels' own order."""
    compiled: Callable[[Tensor], Tensor] = torch.compile(
        module, fullgraph=True, dynamic=False, options={"freezing": way.device == "cpu"}
    )
    return compiled


@contextmanager
def computing_with(number: int) -> Iterator[None]:
    """Within, torch computes with so many threads."""
    before = torch.get_num_threads()
    if before == number:
        yield
        return
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
