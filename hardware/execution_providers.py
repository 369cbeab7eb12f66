"""ONNX Runtime's execution providers by moco's short names, and calls of a network on memory that is bound to a device.

Those for devices (CUDA, TensorRT) are written to ONNX Runtime's documentation and were never run: no device was here.
The binding itself is one code for every device, and is run on the processor's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from moco.errors import ConfigError, nearest
from moco.hardware.measuring.host import KINDS
from moco.hardware.measuring.probe_model import conv_stack
from moco.interfaces import Artifact, Capabilities
from moco.measurement import INIT, LOAD, ON_A_PROCESSOR
from moco.readings import measured_by

INPUT, OUTPUT = "input", "logits"
GPU_MULTIPLE = 8  # channels that tensor cores take at a time
GPU_FACTS = Path("/proc/driver/nvidia/gpus")
"""Where NVIDIA's driver for Linux tells of its devices, a folder each."""


@dataclass(frozen=True)
class Provider:
    """What a short name stands for.

    Attributes:
        chain: ONNX Runtime's names, the wanted one first; a later one takes the operators that those before it lack.
        memory: of which device the images and logits are bound in.
        brought_by: what to install where a build has no such provider.
        builds_late: whether it builds its engine in the first call of a shape, so that opening a file tells nothing.
    """

    chain: tuple[str, ...]
    memory: str = "cuda"
    brought_by: str = "pip install onnxruntime-gpu, in the place of onnxruntime"
    builds_late: bool = False

    @property
    def wanted(self) -> str:
        """ONNX Runtime's name of the provider itself."""
        return self.chain[0]


CPU = Provider(("CPUExecutionProvider",), "cpu", "pip install onnxruntime")
PROVIDERS = {
    "cpu": CPU,
    "cuda": Provider(("CUDAExecutionProvider", *CPU.chain)),
    "tensorrt": Provider(
        ("TensorrtExecutionProvider", "CUDAExecutionProvider", *CPU.chain),
        brought_by="pip install onnxruntime-gpu tensorrt, the first in the place of onnxruntime",
        builds_late=True,
    ),
}


def check_provider(name: str) -> None:
    """Pass a provider that this build of ONNX Runtime has; else a ConfigError names the package that brings it."""
    if name not in PROVIDERS:
        raise ConfigError(f"target.provider: unknown provider '{name}'{nearest(name, PROVIDERS)}")
    wanted = PROVIDERS[name].wanted
    if wanted not in ort.get_available_providers():
        lack = f"this build of ONNX Runtime ({ort.__version__}) has no {wanted}"
        raise ConfigError(f"target.provider: '{name}': {lack}: {PROVIDERS[name].brought_by}")


def fallen_back(session: ort.InferenceSession, provider: Provider) -> str:
    """Why the session does not run on its provider; empty where it does. ONNX Runtime itself falls back in silence."""
    got = session.get_providers()
    if provider.wanted in got:
        return ""
    libraries = "" if provider is CPU else "; its libraries or its device are missing here"
    return f"expected it on {provider.wanted}, ONNX Runtime put it on {', '.join(got)}{libraries}"


def probe(opened: Callable[[bytes], object]) -> None:
    """Open a small network, with CUDA's libraries from the packages that bring them; raises as `opened` does."""
    ort.preload_dlls()
    opened(conv_stack(layers=1).SerializeToString())


def device_capabilities(provider: Provider | None, further: frozenset[str]) -> Capabilities | None:
    """What the provider of a device can, with further series; None where none is named.

    Files in int8 have codes that the provider for CUDA computes in floats and that for TensorRT refuses (it takes
    activations around zero only), so int8 is no precision there.
    """
    if provider is None or provider is CPU:
        return None
    late = {LOAD, INIT} if provider.builds_late else set()
    metrics = measured_by((ON_A_PROCESSOR - late) | further)
    return Capabilities(("float32",), {"float32": GPU_MULTIPLE}, {"float32": KINDS}, metrics)


def providers_told() -> str:
    """Which of the providers this build has, in words, and what was never run, for `moco doctor`."""
    available = ort.get_available_providers()
    has = [name for name, provider in PROVIDERS.items() if provider.wanted in available]
    lacks = [name for name in PROVIDERS if name not in has]
    missing = f", not {' and '.join(lacks)} (onnxruntime-gpu has them)" if lacks else ""
    devices = [name for name, provider in PROVIDERS.items() if provider is not CPU]
    return f"providers: {', '.join(has)}{missing}; {' and '.join(devices)} follow their documentation, never run"


def gpus(folder: Path = GPU_FACTS) -> tuple[str, ...]:
    """Models of this machine's NVIDIA devices as the driver names them; empty where it names none."""
    lines = [line for file in sorted(folder.glob("*/information")) for line in file.read_text().splitlines()]
    return tuple(line.partition(":")[2].strip() for line in lines if line.startswith("Model:"))


class BoundCalls:
    """A session whose images and logits stay in the memory of its device from call to call, to be timed.

    It is called as a session is, but returns no logits: they stay where they are (`logits` copies them). Images are
    copied to the device once, in the first call that is given them, which a timing does not record.
    """

    def __init__(
        self, artifact: Artifact, input_shape: Sequence[int], session: ort.InferenceSession, memory: str
    ) -> None:
        """Take a session whose provider computes in that memory; nothing is bound yet."""
        self.artifact, self.input_shape = artifact, tuple(input_shape)
        self._session, self._memory = session, memory
        self._images: np.ndarray | None = None

    def run(self, images: np.ndarray) -> None:
        """Compute the logits of these images, and return when the device has finished; raises as ONNX Runtime does."""
        if images is not self._images:
            self._bind(images)
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()

    def logits(self) -> np.ndarray:
        """A copy of the logits of the last call, (n, classes)."""
        return np.array(self._binding.copy_outputs_to_cpu()[0])

    def _bind(self, images: np.ndarray) -> None:
        """Copy the images to the device, and have one piece of its memory take the logits of every call."""
        images = np.ascontiguousarray(images)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(INPUT, ort.OrtValue.ortvalue_from_numpy(images, self._memory, 0))
        binding.bind_output(OUTPUT, self._memory, 0)
        binding.synchronize_inputs()
        self._session.run_with_iobinding(binding)  # tells the logits' shape
        binding.synchronize_outputs()
        shape = binding.get_outputs()[0].shape()
        binding.clear_binding_outputs()
        taken = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, self._memory, 0)
        binding.bind_ortvalue_output(OUTPUT, taken)
        self._binding, self._images = binding, images
