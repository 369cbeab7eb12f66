"""RUN/best/card.md: what the delivered network is, how good, how far to trust it and how to run it."""

from __future__ import annotations

from collections.abc import Mapping

from moco.report.formatting import NOT_AVAILABLE, label, shown, shown_interval, shown_ratio
from moco.report.policy_text import describe_groups
from moco.report.run_summary import plain, requested
from moco.report.verdict import Row, certificate_facts, compare, compared_metrics, verdict
from moco.run_folder.manifest import Manifest
from moco.run_folder.result import CertificateRecord, Result

_LIMITS = (
    "Accuracy is stated for images drawn like those of the data above; on other images it is not known. "
    "Timings hold for the target and the machine above."
)


def card(result: Result, manifest: Manifest, snippet: str | None = None) -> str:
    """The model card in Markdown; `snippet` is the target's Python that runs the file beside it, None without one."""
    found = verdict(result, manifest.network.name)
    data, hardware, versions = manifest.data.hash, manifest.hardware or None, manifest.versions or None
    known = {"Data hash": data, "Hardware": hardware, "Versions": versions, "Created": manifest.created}
    origin = {name: plain(value) for name, value in {**known, "Command": manifest.command}.items()}
    parts = [
        f"# {_text(result.experiment)}",
        f"**{found.status.value}.** {_text(found.text)}",
        "## Metrics",
        _metrics(result),
        "Intervals are 95 %; the ratio is new / reference. Accuracies are those of the search split.",
        "## Certificate",
        _certificate(result.certificate),
        "## Use",
        "`model.onnx` takes normalised float32 images (n, channels, height, width) as `input` and returns `logits`.",
        *([] if snippet is None else [f"```python\n{snippet}```"]),
        "## What was done",
        _policy(result),
        "## Where it comes from",
        _list({**requested(result, manifest), **origin}),
        "## Limits",
        _LIMITS,
    ]
    return "\n\n".join(parts) + "\n"


def _metrics(result: Result) -> str:
    by_name = {row.name: row for row in compare(result)}
    chosen = by_name.get("chosen") or by_name.get("best effort")
    reference = by_name["reference"]
    lines = ["| metric | this network | reference | ratio |", "|---|---:|---:|---:|"]
    for name in compared_metrics([reference] if chosen is None else [chosen, reference]):
        value = NOT_AVAILABLE if chosen is None else _value(chosen, name)
        relative = None if chosen is None else chosen.ratios.get(name)
        relative_text = "" if relative is None else shown_ratio(relative)
        cells = (_text(label(name)), value, shown(name, reference.metrics.get(name)), relative_text)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _value(row: Row, name: str) -> str:
    text = shown(name, row.metrics.get(name))
    return f"{text} {shown_interval(name, *row.intervals[name])}" if name in row.intervals else text


def _certificate(certificate: CertificateRecord | None) -> str:
    if certificate is None:
        return "Not certified on unseen images."
    facts = {name.lower(): text for name, text in certificate_facts(certificate, plain(certificate.images)).items()}
    for bound in certificate.bounds:
        facts[f"bound on {label(bound.metric)}"] = plain(bound.holds)
    return f"> {_text(plain(certificate.statement))}\n\n{_list(facts)}"


def _policy(result: Result) -> str:
    lines = describe_groups(None if result.best is None else result.best.policy, result.groups)
    return "\n".join(f"- {_text(line)}" for line in lines) or "Nothing was changed."


def _list(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"- {_text(name)}: {_text(text)}" for name, text in pairs.items())


def _text(text: str) -> str:
    """Text that Markdown takes as text: one line, nothing that starts markup or a table's cell."""
    for special in "\\`*|<[":
        text = text.replace(special, f"\\{special}")
    return " ".join(text.split())
