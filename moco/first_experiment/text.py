"""The text of a first experiment: what was found as keys, what could be changed as comments (docs/configuration.md)."""

from __future__ import annotations

import json
import os
from pathlib import Path

from moco.data.parquet import IMAGE_COLUMNS, LABEL_COLUMNS
from moco.data.sources import SOURCES
from moco.errors import printed
from moco.first_experiment.floor import ChosenFloor
from moco.first_experiment.images import FoundImages, FoundSet
from moco.first_experiment.network import FoundNetwork, input_channels
from moco.first_experiment.this_machine import ThisMachine

LARGE = 256  # pixels: images with a longer side are scaled, as ImageNet's are
SCALED, CUT = 256, 224
BATCH, CALIBRATION = 64, 512  # what a training and the splits take where nothing else is said
RGB = 3
KEYS = 25  # where comments begin
IMAGENET = "{mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}"


def experiment_text(
    name: str, images: FoundImages, network: FoundNetwork, machine: ThisMachine, folder: Path, floor: ChosenFloor
) -> str:
    """The YAML; its paths are relative to `folder`, which it is written to."""
    found = [f"#   {printed(text)}" for text in (*images.found, *network.found, *machine.found)]
    guessed = [f"#   {printed(text)}" for text in (*images.guessed, *network.guessed, *floor.guessed)]
    lines = [
        "# Written by `moco init`. Every key is explained in docs/configuration.md; what is commented out is a default",
        "# or a suggestion. Found:",
        *found,
        *(["# Guessed, so look at it:", *guessed] if guessed else []),
        f"name: {json.dumps(name)}",
        "seed: 0",
        *_model(network, images, folder),
        *_data(images, network, folder),
        *_space(),
        *_target(machine),
        *_objective_to_budget(machine, floor.points),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _model(network: FoundNetwork, images: FoundImages, folder: Path) -> list[str]:
    lines = ["model:"]
    if network.import_path is not None:
        lines.append(
            _line(
                f"  import: {json.dumps(network.import_path)}", "a function or class of yours; run with --allow-import"
            )
        )
    else:
        lines.append(_line(f"  name: {network.name}", "or `import: my.module:function` for a network of your own"))
    if isinstance(network.weights, Path):
        lines.append(f"  weights: {_path(network.weights, folder)}")
    elif network.published:
        lines.append(_line("  weights: DEFAULT", "torchvision's, downloaded; or a .safetensors file"))
    elif network.train:
        lines.append(
            _line(
                f"  train: {{epochs: 15{_batch_size(images)}}}",
                "on the spot, in place of your `weights: network.safetensors`",
            )
        )
    else:
        lines.append("  # weights: network.safetensors   # if the function does not load them itself")
    if network.num_classes is not None:
        lines.append(_line(f"  num_classes: {network.num_classes}", "those of the weights, which are not the data's"))
    return lines


def _batch_size(images: FoundImages) -> str:
    """A smaller one for few images: a step needs a whole batch of what calibration leaves."""
    count = None if images.train is None else images.train.images
    if count is None or (left := count - CALIBRATION if count > 2 * CALIBRATION else count // 2) >= BATCH:
        return ""
    return f", batch_size: {max(left // 4, 1)}"


def _data(images: FoundImages, network: FoundNetwork, folder: Path) -> list[str]:
    lines = ["data:", f"  source: {images.source}"]
    for key, part in (("train", images.train), ("test", images.test)):
        if part is not None:
            lines.append(f"  {key}: {_path(part.path, folder)}")
    if images.train is not None and images.train.columns is not None:
        lines += _columns(images.train)
    if network.name is not None and "channels" in SOURCES[images.source][1]:
        takes = input_channels(network.name)
        if takes != RGB:
            lines.append(_line(f"  channels: {takes}", f"what {network.name} takes"))
        elif not images.all_rgb:
            lines.append(_line(f"  channels: {takes}", f"what {network.name} takes; some files are not RGB"))
    lines += _resizing(images)
    if network.published:
        lines.append(_line(f"  normalize: {IMAGENET}", "as these weights expect it"))
    elif images.source != "digits":
        lines.append(f"  # normalize: {IMAGENET}   # as in the network's training; without it pixels are in [0, 1]")
    lines.append(
        "  # splits: {calibration: 512, search: 1000}   # images; of smaller sets a half; the rest of the test"
    )
    return [*lines, "                          # set is for the certificate"]


def _columns(part: FoundSet) -> list[str]:
    assert part.columns is not None
    keys = zip(("image_column", "label_column"), part.columns, (IMAGE_COLUMNS, LABEL_COLUMNS), strict=True)
    return [f"  {key}: {json.dumps(column)}" for key, column, usual in keys if column not in usual]


def _resizing(images: FoundImages) -> list[str]:
    """Scaling and cutting, where the images are too large or not of one size, or the source asks for them."""
    sizes, needed = images.sizes, "resize" in SOURCES[images.source][0]
    if images.source == "digits":
        return []
    if not sizes or max(map(max, sizes)) > LARGE:
        return [_line(f"  resize: {SCALED}", "shorter side, pixels"), _line(f"  crop: {CUT}", "square from the middle")]
    if needed or len(sizes) > 1:
        side = min(*map(min, sizes), CUT)
        return [_line(f"  resize: {side}", "shorter side, pixels"), _line(f"  crop: {side}", "square from the middle")]
    return ["  # resize: 256           # shorter side, pixels", "  # crop: 224             # square from the middle"]


def _space() -> list[str]:
    return [
        "space:",
        _line("  groups: per-block", "or per-layer, per-stage, {name: [patterns of layers]}"),
        _line("  filter_pruning: {keep: [0.3, 1.0], rank: l1}", "share of channels to keep"),
        _line("  quantization: {precision: [float32, int8]}", ""),
        "  # factorisation: {keep: [0.3, 1.0]}   # share of ranks to keep",
        "  # ignore: [conv1]       # layers to leave alone",
        _line("recovery: [batch_norm]", "also refit, fine_tuning, distillation, quantization_aware: docs/recovery.md"),
    ]


def _target(machine: ThisMachine) -> list[str]:
    counters = f", counters: [{', '.join(machine.counters)}]" if machine.counters else ""
    return [_line(f"target: {{runtime: onnxruntime, threads: 1{counters}}}", f"of {machine.cores} cores")]


def _objective_to_budget(machine: ThisMachine, floor: int) -> list[str]:
    energy = ", energy_j: 1" if machine.counters else ""
    mlflow = "also show it there" if machine.mlflow else "needs pip install 'moco[mlflow]'"
    return [
        "objective:",
        _line("  protocol: accuracy-guaranteed", "or resource-constrained, front, …: docs/configuration.md"),
        _line(f'  floor: "-{floor} pp"', f"at most {floor} points of accuracy below the uncompressed network"),
        f"  weights: {{latency_ms: 1, throughput_ips: 1, size_mb: 1{energy}}}",
        _line("searcher: {name: greybox}", "docs/searchers.md"),
        _line("budget: {trials: 100, seconds: 3600}", "whichever is reached first"),
        "# workers: 2              # processes that evaluate at the same time",
        "# certificate: {confidence: 0.95}",
        f"# tracking: {{mlflow: true}}   # {mlflow}",
    ]


def _line(key: str, comment: str) -> str:
    return f"{key:<{KEYS}} # {comment}" if comment else key


def _path(path: Path, folder: Path) -> str:
    """The path as the file's folder sees it; absolute where the two have nothing in common."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as the user wrote them
    near = os.path.commonpath([whole, folder]) != os.sep
    return json.dumps(os.path.relpath(whole, folder) if near else str(whole), ensure_ascii=False)
