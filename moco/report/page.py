"""RUN/report.html: one self-contained page that says what was asked, what came of it and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from moco.errors import RunFolderError
from moco.report.document import document, warnings_section
from moco.report.markup import element, join
from moco.report.sections import (
    anytime_section,
    certificate_section,
    comparison_section,
    deploy_section,
    front_section,
    heading,
    policy_section,
    reproduce_section,
    seconds_section,
    trials_section,
    verdict_section,
)
from moco.run_folder.manifest import Manifest
from moco.run_folder.reading import MALFORMED, RunFolder, read_run

Snippet = Callable[[Manifest, str], str | None]
"""Of a manifest and a file: Python that runs the file on the search's target; None where that is not known here."""


def write_report(run: Path, snippet: Snippet = lambda _manifest, _file: None) -> Path:
    """The path of RUN/report.html, written anew from what the run folder holds.

    Args:
        snippet: tells how the delivered file is run.

    Raises:
        RunFolderError: a file of the run folder is missing or malformed, or the page cannot be written.
    """
    folder = read_run(run)
    try:
        page = render(folder, snippet(folder.manifest, "best/model.onnx"))
    except MALFORMED as error:
        raise RunFolderError(
            f"{run}: result.json or manifest.json is not what a search writes ({type(error).__name__}: {error})"
        ) from error
    path = run / "report.html"
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RunFolderError(f"{path} cannot be written: {error}") from error
    return path


def render(folder: RunFolder, snippet: str | None = None) -> str:
    """The whole page; `snippet` runs the delivered file from the run folder."""
    result, manifest, trials = folder.result, folder.manifest, folder.trials
    sections = [
        verdict_section(result, manifest),
        comparison_section(result, trials),
        front_section(result, trials),
        anytime_section(result, trials),
        policy_section(result, manifest),
        seconds_section(result),
        certificate_section(result),
        deploy_section(result, snippet),
        reproduce_section(manifest, folder.experiment_yaml),
        warnings_section(result.warnings),
        trials_section(result, trials),
    ]
    return document(result.experiment, heading(result, manifest), element("main", join(sections)), _made_by(manifest))


def _made_by(manifest: Manifest) -> str:
    version, made = manifest.versions.get("moco"), manifest.created
    return "Made by moco" + (f" {version}" if version else "") + (f" from a search of {made}" if made else "")
