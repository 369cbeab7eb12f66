"""RUN/report.html: one self-contained page that says what was asked, what came of it and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

from moco.errors import RunFolderError
from moco.report.markup import Html, element, join
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
    warnings_section,
)
from moco.run_folder.reading import TrialRecord, read_run


def write_report(run: Path) -> Path:
    """The path of RUN/report.html, written anew from what the run folder holds.

    Raises:
        RunFolderError: a file of the run folder is missing or malformed, or the page cannot be written.
    """
    folder = read_run(run)
    try:
        page = render(folder.result, folder.manifest, folder.trials, folder.experiment_yaml)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"{run}: result.json or manifest.json is not what a search writes ({type(error).__name__}: {error})"
        ) from error
    path = run / "report.html"
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RunFolderError(f"{path} cannot be written: {error}") from error
    return path


def render(
    result: Mapping[str, Any], manifest: Mapping[str, Any], trials: Sequence[TrialRecord], experiment_yaml: str
) -> str:
    """The whole page, with styles, figures and the plotting library inside: nothing is fetched."""
    sections = [
        verdict_section(result, manifest),
        comparison_section(result, trials),
        front_section(result, trials),
        anytime_section(result, trials),
        policy_section(result, manifest),
        seconds_section(result),
        certificate_section(result),
        deploy_section(result, manifest),
        reproduce_section(manifest, experiment_yaml),
        warnings_section(result),
        trials_section(result, trials),
    ]
    body = join([heading(result, manifest), element("main", join(sections)), _footer(manifest)])
    return Template(_resource("page.html")).substitute(
        title=escape(str(result["experiment"])),
        style=_resource("style.css"),
        body=body,
        plotly=get_plotlyjs(),
    )


def _footer(manifest: Mapping[str, Any]) -> Html:
    made = manifest.get("created")
    version = (manifest.get("versions") or {}).get("moco")
    text = "Made by moco" + (f" {version}" if version else "") + (f" from a search of {made}" if made else "")
    return element("footer", element("p", f"{text}. This page is complete in itself and fetches nothing."))


def _resource(name: str) -> str:
    return resources.files("moco.report").joinpath(name).read_text(encoding="utf-8")
