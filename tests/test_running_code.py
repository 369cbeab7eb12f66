"""What runs code by its name or from data, and where in moco that may stand: nowhere else can a file become code."""

from __future__ import annotations

import ast

from tests.import_rules import sources

RUNS = {
    *("__import__", "compile", "eval", "exec", "exec_module", "import_module", "load_module", "reload"),
    *("run_module", "run_path", "spec_from_file_location", "SourceFileLoader"),
    *("load_entry_point", "import_object", "find_spec", "unsafe_load", "full_load"),
}
"""Functions that import or run what they are given, by their last name; `network.eval()` takes nothing."""
MODULES = {"code", "dill", "joblib", "marshal", "pickle", "cloudpickle", "runpy", "shelve", "imp"}
"""Modules of functions that do so."""

ALLOWED = {
    ("moco", "import_module"): "the names that moco publishes, by its own table",
    ("moco.registry", "import_module"): "built-in plug-ins, by its own table",
    ("moco.registry", "load"): "plug-ins of packages that the user has installed, by their entry points",
    ("moco.testing", "import_module"): "its own suites, by their kind",
    ("moco.optional", "find_spec"): "whether a package is there; only the parent of a dotted name is imported",
    (
        "moco.hardware.onnx_network.running",
        "compile",
    ): "torch's, of calls by a table; a file's names do not become code",
    ("moco.hardware.tvm_schedule", "compile"): "TVM's, of a network: a file's names do not become code",
    ("moco.hardware.tvm_library", "load_module"): "the library that the target has compiled from a network",
    ("moco.models.torchvision_shim", "import_module"): "torchvision",
    ("moco.models.timm_zoo", "import_module"): "timm and huggingface_hub",
    ("moco.execution.workers", "pickle"): "an error that it has pickled itself, to see whether it can travel",
    ("moco.models.import_path", "import_module"): "the user's own code, where that was allowed: the one place",
    ("moco.models.import_path", "import_object"): "a function of the user's, which hands on what was allowed",
    ("moco.experiment.build", "import_object"): "a recovery step of the user's, which hands on what was allowed",
}
"""(module, function): why it stands there."""


def running() -> set[tuple[str, str]]:
    """Each place that runs code by name."""
    found: set[tuple[str, str]] = set()
    for module, text in sources().items():
        entry_points = "entry_points" in text
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                method_without_arguments = name in {"eval", "compile"} and isinstance(node.func, ast.Attribute)
                owner = node.func.value if isinstance(node.func, ast.Attribute) else None
                regular = name == "compile" and isinstance(owner, ast.Name) and owner.id == "re"
                if name in RUNS and not regular and not (method_without_arguments and not node.args):
                    found.add((module, name))
                if name == "load" and not node.args and entry_points:
                    found.add((module, name))
                if name == "load" and isinstance(owner, ast.Name) and owner.id in {"torch", "yaml"}:
                    found.add((module, f"{owner.id}.load"))
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                found |= {(module, name) for name in names if name.partition(".")[0] in MODULES}
    return found


def test_code_is_run_by_name_in_the_known_places_only() -> None:
    found = running()
    assert found - ALLOWED.keys() == set(), "a new place: can a file of somebody else's name what it runs?"
    assert ALLOWED.keys() - found == set(), "no longer there"


def test_each_import_of_the_users_code_asks_for_leave() -> None:
    """`allowed` is a keyword without a default, and nobody writes True there."""
    for module, text in sources().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"import_object", "called"}:
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                assert not isinstance(given["allowed"], ast.Constant), f"{module}:{node.lineno}"
