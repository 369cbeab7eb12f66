"""`moco sensitivity`: its files and its table on the console."""

from __future__ import annotations

import json
from pathlib import Path

from rich.table import Table
from rich.text import Text

from moco.analysis.sensitivity.layer_sensitivity import BRANCHES, KEEP, WEIGHT_BITS, to_json
from moco.experiment.sensitivity import LayerStudy
from moco.report.sensitivity_page import sensitivity_page, shown_divergence
from moco.run_folder.writing import write_text


def write_study(study: LayerStudy, out: Path) -> Path:
    """Path of sensitivity.html, beside sensitivity.json and groups.yaml; a RunFolderError if they cannot be written."""
    data = to_json(study.sensitivity)
    page = sensitivity_page(study.name, data, study.layers, study.ignored, study.yaml)
    write_text(out / "sensitivity.json", json.dumps(data, indent=1) + "\n")
    write_text(out / "groups.yaml", study.yaml)
    write_text(out / "sensitivity.html", page)
    return out / "sensitivity.html"


def sensitivity_table(study: LayerStudy) -> Table:
    """A layer a row: its divergence pruned to half, in int8, with 4-bit weights, without its branch; and its group."""
    found = study.sensitivity
    table = Table(title=f"{study.name}: divergence in nats, mean of {found.images} images", title_justify="left")
    for column in ("layer", "keep 0.5", "int8", "4-bit weights", "left out", "group"):
        table.add_column(column, justify="left" if column in {"layer", "group"} else "right", no_wrap=True)
    groups = {layer: name for name, layers in study.layers.items() for layer in layers}
    groups |= dict.fromkeys(study.ignored, "left alone")
    for layer in found.layers:
        curves = [found.curve(layer, parameter) for parameter in (KEEP, "int8", WEIGHT_BITS, BRANCHES)]
        values = [None if one is None else one.at(at) for one, at in zip(curves, (0.5, 8, 4, 0), strict=True)]
        cells = map(shown_divergence, values)
        table.add_row(Text(layer), *cells, Text(groups.get(layer, "-")))
    if found.whole_runs is not None:
        table.caption = f"the network was run whole each time: {found.whole_runs}"
    return table
