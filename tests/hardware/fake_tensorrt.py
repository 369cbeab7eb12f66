"""A fake of TensorRT's Python module, for control flow only: its engines compute on the processor by ONNX Runtime.

Addresses that a context is given are of the processor's memory, and are read and written as such; so what is bound, in
which shape and when, is what decides the logits. It says nothing of what TensorRT itself does.
"""

from __future__ import annotations

import ctypes
from enum import Enum
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort


class ILogger:
    class Severity(Enum):
        INTERNAL_ERROR, ERROR, WARNING = range(3)


class IProfiler:
    pass


class Parser:
    def __init__(self, network: Any, log: Any) -> None:
        self.network, self.num_errors = network, 0

    def parse(self, content: bytes) -> bool:
        graph = onnx.load_from_string(content).graph
        if any(node.op_type == "QuantizeLinear" for node in graph.node):
            self.num_errors, self.get_error = 1, lambda index: "zero points\nmust be 0"
            return False
        self.network.content = content
        self.network.inputs = [
            SimpleNamespace(
                name=one.name,
                dtype="float32",
                shape=(-1, *(dim.dim_value for dim in one.type.tensor_type.shape.dim[1:])),
            )
            for one in graph.input
        ]
        self.network.outputs = [SimpleNamespace(name=one.name) for one in graph.output]
        self.network.num_inputs, self.network.num_outputs = len(graph.input), len(graph.output)
        self.network.get_input, self.network.get_output = (
            self.network.inputs.__getitem__,
            self.network.outputs.__getitem__,
        )
        return True


class Profile:
    def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        self.shapes = shapes


class Config:
    def __init__(self) -> None:
        self.flags, self.profiles = {"TF32"}, list[Profile]()

    def clear_flag(self, flag: str) -> None:
        self.flags.remove(flag)

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1


class Builder:
    made: list[Config] = []  # noqa: RUF012 - what a test looks at

    def __init__(self, log: Any) -> None:
        self.log = log

    def create_network(self, flags: int) -> Any:
        assert flags == 2
        return SimpleNamespace()

    create_builder_config = staticmethod(Config)
    create_optimization_profile = staticmethod(Profile)

    def build_serialized_network(self, network: Any, config: Config) -> Any:
        Builder.made.append(config)
        if getattr(config, "builder_optimization_level", None) == 5:
            self.log.log(ILogger.Severity.ERROR, "no kernel\nfits")
            return None
        return (network, config)


class Context:
    def __init__(self, engine: Any) -> None:
        self.engine, self.profiler, self.at = engine, None, dict[str, int]()

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.profile = self.engine.config.profiles[index]
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self.profile.shapes
        self.shape = shape
        return low[0] <= shape[0] <= high[0] and shape[1:] == low[1:]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (self.shape[0], self.engine.session.get_outputs()[0].shape[1])

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.at[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        images, logits = self._memory("input", self.shape), self._memory("logits", self.get_tensor_shape("logits"))
        logits[:] = self.engine.session.run(["logits"], {"input": np.array(images)})[0]
        if self.profiler is not None:
            for name, ms in (("conv + relu", 0.5), ("head", 0.25)):
                self.profiler.report_layer_time(name, ms)
        return True

    def _memory(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        pointer = ctypes.cast(self.at[name], ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(pointer, shape)


class Engine:
    def __init__(self, network: Any, config: Config) -> None:
        self.network, self.config = network, config
        self.session = ort.InferenceSession(network.content, providers=["CPUExecutionProvider"])

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.network.inputs[0].shape
        return shape

    def create_execution_context(self) -> Context:
        return Context(self)


class Runtime:
    def __init__(self, log: Any) -> None:
        pass

    def deserialize_cuda_engine(self, plan: Any) -> Engine:
        return Engine(*plan)


def module() -> ModuleType:
    """The fake, ready to stand in `sys.modules`."""
    made: Any = ModuleType("tensorrt")
    made.__spec__, made.__version__, made.float32 = ModuleSpec("tensorrt", None), "10.0 (fake)", "float32"
    made.ILogger, made.IProfiler, made.Builder, made.OnnxParser, made.Runtime = (
        ILogger,
        IProfiler,
        Builder,
        Parser,
        Runtime,
    )
    made.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
    made.BuilderFlag = SimpleNamespace(TF32="TF32")
    return made  # type: ignore[no-any-return]
