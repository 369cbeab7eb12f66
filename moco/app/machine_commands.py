"""The commands about a machine: doctor looks at it, serve lets others use it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.text import Text
from typer import Option

from moco.app.application import app
from moco.app.command import command
from moco.app.output import Answer, Output
from moco.registry import DEFAULT_TARGET


@command(app, "moco doctor --json")
def doctor(
    output: Output, url: Annotated[str | None, Option(metavar="URL", help="Of an agent: look at its device.")] = None
) -> Answer:
    """Tell what this machine can measure and run, and which packages are there and work."""
    from moco.hardware.doctor import probe, probe_elsewhere
    from moco.report.console import doctor_line, doctor_table

    if url is None:
        output.progress.print("looking at this machine, and at each package in a process of its own: some ten seconds")
    findings = probe(Path.cwd()) if url is None else probe_elsewhere(url)
    data = {"findings": [vars(finding) for finding in findings]}
    return Answer(data, (doctor_table(findings),), Text(doctor_line(findings)))


@command(app, "moco serve --runtime onnxruntime --port 8080")
def serve(  # noqa: PLR0913, PLR0917 - each is an option of the command
    output: Output,
    runtime: Annotated[str, Option(metavar="NAME", help="The target that is served.")] = DEFAULT_TARGET,
    settings: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help="Option of the target: threads=1. Repeatable.")
    ] = None,
    host: Annotated[str, Option(help="Address to listen at; another than this machine's own needs TLS.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    folder: Annotated[Path | None, Option(help="For files and answers; default: agent in moco's home")] = None,
    cert: Annotated[Path | None, Option(metavar="FILE.pem", help="TLS certificate.")] = None,
    key: Annotated[Path | None, Option(metavar="FILE.pem", help="Its private key.")] = None,
    plain_http: Annotated[bool, Option("--plain-http", help="Let other machines connect without TLS.")] = False,
    max_mb: Annotated[float, Option(help="Largest file that is taken.")] = 256.0,
) -> Answer:
    """Serve this device to searches on other machines; the environment variable MOCO_TOKEN has the token."""
    from moco.optional import needed_by

    with needed_by("moco serve"):
        from moco.serving.serve import ServeRequest
        from moco.serving.serve import serve as served
    request = ServeRequest(runtime, settings or (), host, port, folder, cert, key, plain_http).with_max_mb(max_mb)
    served(request, output.progress.print)
    return Answer({"runtime": runtime}, (), Text("the agent has ended"))
