"""How a delivered file is run: what the target of the search says of it, for the page of an earlier search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moco.errors import ConfigError, MocoError
from moco.experiment.options import options_of
from moco.interfaces import Target
from moco.registry import DEFAULT_TARGET, plugin
from moco.run_folder.manifest import Manifest


def snippet(manifest: Manifest, file: str) -> str | None:
    """Python that runs `file` on the target that the manifest names; None where that is not here or gives no answer."""
    section = dict(manifest.config.get("target") or {})
    runtime = section.pop("runtime", DEFAULT_TARGET)
    section.pop("timing", None)
    try:
        target = _target(runtime, section)
        return target.snippet(file, manifest.network.input_shape, manifest.normalization)
    except (ImportError, MocoError):
        return None


def _target(runtime: str, options: Mapping[str, Any]) -> Target:
    """The target; with its defaults where this machine does not have what its options ask for."""
    cls = plugin("target", runtime)
    try:
        target: Target = cls(options_of(cls.Options, options, "target"))
    except ConfigError:
        target = cls()
    return target
