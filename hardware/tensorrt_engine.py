"""A file as a TensorRT engine: built, kept as bytes, and run on memory of the device that torch has reserved.

Written to the documentation of TensorRT 10 and 11 and never run: no device was here. Tests have a module that answers
as TensorRT's does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np
import tensorrt as trt
import torch

from moco.errors import MeasurementError
from moco.interfaces import LayerTime

INPUT, OUTPUT = "input", "logits"
DEVICE = "cuda"
BATCHES = ((1, 1, 1), (2, 32, 256))
"""The smallest, the usual and the largest batch of each of an engine's optimisation profiles."""
LARGEST = BATCHES[-1][-1]


class Log(trt.ILogger):  # type: ignore[misc]  # TensorRT has no types
    """What TensorRT has complained of last."""

    def __init__(self) -> None:
        """Begin without a complaint."""
        trt.ILogger.__init__(self)
        self.last = ""

    def log(self, severity: Any, msg: str) -> None:
        """Keep errors; the rest helps nobody here."""
        if severity in {trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR}:
            self.last = " ".join(msg.split())


LOG = Log()
"""TensorRT has one logger for a process."""


def held(result: Any, what: str) -> Any:
    """The result of a call; a MeasurementError where TensorRT gave None or False, which is how it fails."""
    if result is None or result is False:
        raise MeasurementError(f"{what} failed{f': {LOG.last}' if LOG.last else ''}")
    return result


def built(content: bytes, *, tf32: bool, level: int | None) -> Any:
    """The serialised engine of an ONNX file: strongly typed, so float32 is what the file says, for `BATCHES`.

    Building takes seconds to minutes: TensorRT times kernels. A MeasurementError tells what TensorRT cannot run.
    """
    builder = trt.Builder(LOG)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, LOG)
    if not parser.parse(content):
        reasons = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise MeasurementError(" ".join(f"the file cannot be parsed: {reasons}".split()))
    shape = _image_shape(network)
    config = builder.create_builder_config()
    if not tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    if level is not None:
        config.builder_optimization_level = level
    for batches in BATCHES:
        profile = builder.create_optimization_profile()
        profile.set_shape(INPUT, *((batch, *shape) for batch in batches))
        held(config.add_optimization_profile(profile) >= 0, "adding a profile")
    return held(builder.build_serialized_network(network, config), "building")


def _image_shape(network: Any) -> tuple[int, ...]:
    """(channels, height, width) of the input; names, type and shape must be those of moco's files."""
    given = [network.get_input(index) for index in range(network.num_inputs)]
    gives = [network.get_output(index).name for index in range(network.num_outputs)]
    if [one.name for one in given] != [INPUT] or OUTPUT not in gives:
        names = [one.name for one in given]
        raise MeasurementError(f"expected one input '{INPUT}' and an output '{OUTPUT}', got {names} and {gives}")
    batch, *shape = given[0].shape
    if given[0].dtype != trt.float32 or batch != -1 or min(shape, default=-1) < 1:
        what = f"{given[0].dtype} {tuple(given[0].shape)}"
        raise MeasurementError(f"expected a float32 input (dynamic batch, fixed size), got {what}")
    return tuple(shape)


class Engine:
    """A serialised engine, open on the device."""

    def __init__(self, plan: Any) -> None:
        """Open the engine; a MeasurementError where it is not this TensorRT's, or there is no memory for it."""
        self._runtime = trt.Runtime(LOG)  # must live as long as the engine
        self._engine = held(self._runtime.deserialize_cuda_engine(plan), "opening the engine")
        self.image_shape = tuple(self._engine.get_tensor_shape(INPUT))[1:]

    def ready(self, batch: int) -> Ready:
        """The engine for batches of that size, at most `LARGEST`; a MeasurementError where there is no memory."""
        return Ready(held(self._engine.create_execution_context(), "making a context"), (batch, *self.image_shape))


class Ready:
    """An engine with memory on the device for images and logits of one size of batch."""

    def __init__(self, context: Any, shape: Sequence[int]) -> None:
        """Choose the profile and bind the memory."""
        self._context, self._stream = context, torch.cuda.Stream()  # type: ignore[no-untyped-call]
        profile = next((index for index, (low, _, high) in enumerate(BATCHES) if low <= shape[0] <= high), 0)
        chosen = context.set_optimization_profile_async(profile, self._stream.cuda_stream)
        held(chosen, "choosing a profile")
        self._stream.synchronize()
        held(context.set_input_shape(INPUT, tuple(shape)), "setting the shape")
        self._images = torch.empty(tuple(shape), device=DEVICE)
        self._logits = torch.empty(tuple(context.get_tensor_shape(OUTPUT)), device=DEVICE)
        for name, memory in ((INPUT, self._images), (OUTPUT, self._logits)):
            held(context.set_tensor_address(name, memory.data_ptr()), f"binding '{name}'")

    def fill(self, images: np.ndarray) -> None:
        """Copy the images to the device, and wait until they are there: computing has a stream of its own."""
        self._images.copy_(torch.from_numpy(np.ascontiguousarray(images)))
        if DEVICE == "cuda":
            torch.cuda.current_stream().synchronize()

    def compute(self) -> None:
        """Compute the logits of the images that are there, and return when the device has finished."""
        held(self._context.execute_async_v3(self._stream.cuda_stream), "running")
        self._stream.synchronize()

    def logits(self) -> np.ndarray:
        """A copy of the logits, (n, classes)."""
        return np.array(self._logits.cpu().numpy())

    def layer_times(self, calls: int) -> tuple[LayerTime, ...]:
        """The engine's layers in the order in which they run, each with its median over so many calls, after one."""
        profiler = Profiler()
        self._context.profiler = profiler
        for _ in range(1 + calls):
            profiler.told.append([])
            self.compute()
        names = [name for name, _ in profiler.told[-1]]
        times = zip(*([ms for _, ms in call] for call in profiler.told[1:]), strict=True)
        return tuple(LayerTime(name, "layer", median(of)) for name, of in zip(names, times, strict=True))


class Profiler(trt.IProfiler):  # type: ignore[misc]  # TensorRT has no types
    """What TensorRT tells of each layer in each call."""

    def __init__(self) -> None:
        """Begin without a call."""
        trt.IProfiler.__init__(self)
        self.told: list[list[tuple[str, float]]] = []

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        """Keep a layer's time, in ms, of the call that runs."""
        self.told[-1].append((layer_name, ms))


def by_batches(images: np.ndarray, run: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What `run` gives of the images, in batches of at most `LARGEST`."""
    return np.concatenate([run(images[at : at + LARGEST]) for at in range(0, max(len(images), 1), LARGEST)])
