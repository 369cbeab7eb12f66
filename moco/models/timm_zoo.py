"""timm's networks, as timm/NAME, and the weights that timm publishes for them; timm is an extra of moco's."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from moco.errors import ConfigError, DataError, nearest
from moco.models.torchvision_shim import import_torchvision
from moco.optional import installed, require

PREFIX = "timm/"
FILE = "model.safetensors"
"""The file of a published network that is read; the pickle beside it never is."""
DEFAULT = "DEFAULT"
"""Stands for the weights that timm itself takes for the architecture, as it does for torchvision's."""
REFUSED = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir")
"""Arguments of timm's that load weights, pickled ones too: `model.weights` is where weights are named."""


def timm_names() -> list[str]:
    """The names of timm's networks, each with the prefix; none where timm is not installed."""
    if not installed("timm"):
        return []
    return [PREFIX + name for name in _import_timm().list_models()]


def build_timm(name: str, options: Mapping[str, Any]) -> nn.Module:
    """A new network of timm's, its weights not trained, nothing downloaded.

    A ConfigError where timm is not installed, has no such network, or the network does not take the options.
    """
    require("timm", f"model.name: '{name}'")
    timm, plain = _import_timm(), name.removeprefix(PREFIX)
    if plain not in timm.list_models():
        raise ConfigError(f"model.name: unknown model '{name}'{_hint(plain, timm.list_models())}")
    for option in options:
        if option in REFUSED:
            raise ConfigError(f"model.options.{option}: weights are named by model.weights, as a file or by timm's tag")
    try:
        network: nn.Module = timm.create_model(plain, pretrained=False, **options)
    except Exception as error:  # its networks raise what their authors chose
        raise ConfigError(f"model: '{name}' does not take {dict(options)}: {error}") from error
    return network


def timm_weights(tag: str, name: str) -> Mapping[str, Tensor]:
    """The weights of that tag, "DEFAULT" for timm's own choice, downloaded where they are not yet there.

    Only safetensors are read. A ConfigError where timm has no such network or tag, a DataError where the file cannot be
    downloaded or read.
    """
    require("timm", f"model.name: '{name}'")
    plain = name.removeprefix(PREFIX)
    tags = [full.partition(".")[2] for full in _import_timm().list_pretrained(f"{plain}.*")]
    if not tags:
        raise ConfigError(f"model.weights: timm publishes no weights for '{name}', got '{tag}'")
    if tag not in (DEFAULT, *tags):
        raise ConfigError(f"model.weights: '{name}' has no '{tag}'{nearest(tag, (DEFAULT, *tags))}")
    published = importlib.import_module("timm").get_pretrained_cfg(plain, None if tag == DEFAULT else tag)
    if published.hf_hub_id is None or published.custom_load:
        raise DataError(f"timm publishes {name} {tag} as a pickle or in another format only; expected safetensors")
    try:
        path = _downloaded(published.hf_hub_id, published.hf_hub_filename or FILE)
        state: Mapping[str, Tensor] = load_file(path)
    except Exception as error:  # of the network, the hub or the file, each of its own kind
        reason = " ".join(str(error).split())
        raise DataError(f"timm's {name} {tag} cannot be downloaded: {reason}") from error
    return state


def _import_timm() -> ModuleType:
    """The package; it imports torchvision, which is therefore imported first, and guarded."""
    import_torchvision()
    return importlib.import_module("timm")


def _downloaded(repository: str, file: str) -> Path:
    """The file, from the hub's cache where it is there; nothing is printed."""
    hub = importlib.import_module("huggingface_hub")
    cached = hub.try_to_load_from_cache(repository, file)
    if isinstance(cached, str):
        return Path(cached)
    with _silenced(hub):
        return Path(hub.hf_hub_download(repository, file))


@contextmanager
def _silenced(hub: ModuleType) -> Iterator[None]:
    """No progress bar and none of the lines that tell of each attempt; the error says what failed."""
    logger, shown = logging.getLogger(hub.__name__), not hub.utils.are_progress_bars_disabled()
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    hub.utils.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if shown:
            hub.utils.enable_progress_bars()


def _hint(plain: str, names: list[str]) -> str:
    """How the message about an unknown name ends; there are too many names to list them all."""
    architecture, dot, tag = plain.partition(".")
    if dot and architecture in names:
        return f"; name the weights apart: {{name: {PREFIX}{architecture}, weights: {tag}}}"
    close = nearest(plain, names)
    if "did you mean" in close:
        return close.replace("'", f"'{PREFIX}", 1)
    return f"; {len(names)} are in timm.list_models()"
