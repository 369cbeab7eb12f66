"""The rooms of moco, what each may import, and the check over syntax trees (docs/decisions/0002-layers.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

CORE = frozenset({"core"})
NETWORKS = CORE | {"models", "data"}
FILES = CORE | {"compression", "recovery", "export"}
RUN = FILES | {"data", "analysis", "certification", "evaluation", "execution", "run_folder", "report", "tracking"}
RUN |= {"finalists"}
ALLOWED: dict[str, frozenset[str]] = {
    "core": frozenset(),
    "models": CORE,
    "data": CORE | {"models"},
    "compression": CORE | {"models"},
    "export": CORE | {"models", "compression"},
    "recovery": CORE | {"models", "compression", "export"},
    "certification": CORE,
    "execution": CORE,
    "evaluation": FILES | {"certification"},
    "baselines": FILES | {"models", "evaluation"},
    "analysis": FILES,
    "finalists": FILES | {"models", "certification", "evaluation", "run_folder"},
    "tracking": CORE | {"run_folder"},
    "run_folder": CORE | {"compression"},
    "comparison": CORE | {"run_folder", "tracking"},
    "report": CORE | {"run_folder", "comparison"},
    "searchers": CORE,
    "objectives": CORE,
    "hardware": CORE | {"export"},
    "run": RUN | {"models", "objectives", "baselines"},
    "students": RUN | {"models", "baselines", "run"},
    "experiment": NETWORKS
    | FILES
    | {
        "analysis",
        "baselines",
        "certification",
        "execution",
        "finalists",
        "run_folder",
        "tracking",
        "objectives",
        "run",
        "students",
    },
    "sweep": CORE | {"models", "experiment", "run_folder"},
    "stages": CORE | {"data", "compression", "report", "run", "run_folder", "experiment"},
    "serving": CORE | {"execution", "experiment", "hardware"},
    "first_experiment": NETWORKS | {"certification", "hardware"},
    "reproduction": RUN
    | {"models", "comparison", "experiment", "run", "searchers", "objectives", "hardware", "students"},
    "testing": FILES | {"models", "evaluation", "hardware"},
    "app": RUN
    | {"models", "comparison", "searchers", "objectives", "hardware", "run", "experiment", "serving"}
    | {"first_experiment", "reproduction", "stages", "students", "sweep"},
}
"""Rooms by room that it may import, itself always included. `core` is the modules of moco/ itself."""

HEAVY: dict[str, tuple[str, ...]] = {
    "ai_edge_litert": ("moco.hardware.litert", "moco.hardware.litert_converter.quantizer"),
    "ax": ("moco.searchers.ax",),
    "botorch": ("moco.searchers.models.botorch_models", "moco.searchers.models.torch_draws"),
    "fastapi": ("moco.serving",),
    "gpytorch": ("moco.searchers.models.botorch_models",),
    "linear_operator": ("moco.searchers.models.botorch_models",),
    "mlflow": ("moco.tracking",),
    "moocore": ("moco.pareto",),
    "onnx": (
        "moco.export",
        "moco.compression.verify",
        "moco.compression.file_weights",
        "moco.evaluation.builder",
        "moco.hardware.litert_converter.convert",
        "moco.hardware.litert_converter.floats",
        "moco.hardware.onnx_network",
        "moco.hardware.measuring.batch_memory",
        "moco.hardware.measuring.probe_model",
        "moco.hardware.tvm_library",
        "moco.testing.target",
        "moco.tracking.mlflow_model",
    ),
    "onnxruntime": (
        "moco.hardware.onnxruntime",
        "moco.hardware.execution_providers",
        "moco.export.calibration",
        "moco.export.static_quantization",
    ),
    "onnxscript": ("moco.export",),
    "openvino": ("moco.hardware.openvino",),
    "optuna_dashboard": ("moco.tracking",),
    "pandas": (),
    "plotly": ("moco.report",),
    "pyarrow": ("moco.data",),
    "pynvml": ("moco.hardware.counters.nvml",),
    "pydantic": ("moco.experiment", "moco.serving.requests", "moco.stages", "moco.sweep"),
    "pytest": (),
    "rich": ("moco.app", "moco.run.progress", "moco.report.console"),
    "safetensors": ("moco.models", "moco.reproduction.subjects", "moco.recovery.checkpoint", "moco.run_folder.writing"),
    "sklearn": ("moco.compression.rankings.lasso", "moco.data"),
    "starlette": ("moco.serving",),
    "tensorly": ("moco.compression.methods.low_rank",),
    "tensorrt": ("moco.hardware.tensorrt", "moco.hardware.tensorrt_engine"),
    "timm": ("moco.models.timm_zoo",),
    "torch_pruning": (),
    "torchvision": ("moco.models", "moco.data"),
    "tvm": ("moco.hardware.tvm", "moco.hardware.tvm_library", "moco.hardware.tvm_schedule"),
    "typer": ("moco.app",),
    "uvicorn": ("moco.serving.serve",),
    "yaml": ("moco.experiment", "moco.run_folder.writing", "moco.sweep.made_experiment"),
}
"""Modules (and all below them) that may import a heavy or optional package."""

FACADE = "moco"
"""moco/__init__.py: re-exports for users, so nothing inside may import from it, but for the application.

It may name whatever it publishes; what `import moco` really loads is tested apart."""


def sources(root: Path = ROOT) -> dict[str, str]:
    """Source text by module name, over moco/ and the plug-in folders that it links to."""
    return {_module_name(path, root): path.read_text(encoding="utf-8") for path in _python_files(root / "moco")}


def violations(modules: dict[str, str]) -> list[str]:
    """One line for each import that climbs, or that reaches a heavy package from a module not named for it."""
    return [
        f"{module}:{line}: {fault}"
        for module, text in sorted(modules.items())
        for line, imported in dict.fromkeys(_imports(module, ast.parse(text), frozenset(modules)))
        if (fault := _fault(module, imported)) is not None
    ]


def room(module: str) -> str:
    """The room that a module of moco belongs to: a folder's name, or `core`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ALLOWED else "core"


def _fault(module: str, imported: str) -> str | None:
    package = imported.split(".", maxsplit=1)[0]
    if package in {"searchers", "objectives", "hardware"}:
        return f"imports '{imported}' by its bare name; it is 'moco.{imported}'"
    if package != "moco":
        allowed = HEAVY.get(package)
        if allowed is None or any(module == name or module.startswith(f"{name}.") for name in allowed):
            return None
        return f"imports '{package}', which only {', '.join(allowed) or 'nobody'} may"
    importer, target = room(module), room(imported)
    if imported == FACADE and importer != "app":
        return "imports from 'moco' itself; import from the module that defines the name"
    if target == importer or target in ALLOWED[importer] or module == FACADE:
        return None
    return f"'{importer}' imports '{imported}'; it may import {', '.join(sorted(ALLOWED[importer])) or 'nothing'}"


def _imports(module: str, tree: ast.Module, known: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Line and module name of each import, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node, known)
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield node.lineno, name if name in known else base
        elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"}:
            yield from (
                (node.lineno, a.value) for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)
            )


def _absolute(module: str, node: ast.ImportFrom, known: frozenset[str]) -> str:
    if node.level == 0:
        return node.module or ""
    is_package = any(name.startswith(f"{module}.") for name in known)
    parts = module.split(".")
    above = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return ".".join([*above, *([node.module] if node.module else [])])


def _called(node: ast.Call) -> str:
    function = node.func
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def _python_files(folder: Path) -> Iterator[Path]:
    # Path.rglob does not follow links before Python 3.13, and the plug-in folders are links.
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name != "__pycache__":
            yield from _python_files(path)
        elif path.suffix == ".py":
            yield path


def _module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
