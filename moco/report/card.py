"""RUN/best/card.md: what the delivered network is, how good, how far to trust it and how to run it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moco.report.formatting import NOT_AVAILABLE, label, shown, shown_interval, shown_ratio
from moco.report.policy_text import describe_groups
from moco.report.precision_advice import precision_advice
from moco.report.run_summary import plain, requested
from moco.report.verdict import Row, certificate_facts, compare, compared_metrics, verdict
from moco.run_folder.manifest import Manifest
from moco.run_folder.network_file import USUAL
from moco.run_folder.result import CertificateRecord, Result

_LIMITS = (
    "Accuracy is stated for images drawn like those of the data above; on other images it is not known. "
    "Timings hold for the target and the machine above."
)

_SHOWN_CLASSES = 20


def card(result: Result, manifest: Manifest, snippet: str | None = None, file: str = USUAL) -> str:
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
        f"`{file}` takes normalised float32 images (n, channels, height, width) as `input` and returns `logits`.",
        *_described(result.description or {}, file),
        *([] if snippet is None else [f"```python\n{snippet}```"]),
        "## What was done",
        _policy(result, manifest),
        "## Where it comes from",
        _list({**requested(result, manifest), **origin}),
        "## Limits",
        _LIMITS,
    ]
    return "\n\n".join(parts) + "\n"


def _described(known: Mapping[str, Any], file: str) -> list[str]:
    """The classes and images that the network is for, and which file says so too; nothing where unknown."""
    sides = {name: _sides(known[name]) for name in ("size", "resize", "crop") if name in known}
    steps = []
    if "resize" in sides:
        shorter = "the shorter side scaled to" if isinstance(known["resize"], int) else "scaled to"
        steps.append(f"{shorter} {sides['resize']} pixels")
    if "crop" in sides:
        square = f"{sides['crop']}x{sides['crop']}" if isinstance(known["crop"], int) else sides["crop"]
        steps.append(f"{square} pixels cut from the middle")
    if "mean" in known:
        steps.append(f"pixels in [0, 1], minus {list(known['mean'])}, divided by {list(known['std'])}, by channel")
    facts = {}
    if sides:
        channels = "1 channel" if known["channels"] == 1 else f"{known['channels']} channels"
        facts["Images"] = f"{channels}, {sides['size']} pixels (height x width)"
    if steps:
        facts["Prepared by"] = "; ".join(steps)
    if known.get("classes"):
        names = list(known["classes"])
        rest = f" and {len(names) - _SHOWN_CLASSES} more" if len(names) > _SHOWN_CLASSES else ""
        shown_names = ", ".join(f"{number} {name}" for number, name in enumerate(names[:_SHOWN_CLASSES]))
        facts["Classes, by output"] = f"{shown_names}{rest}"
    holder = file if file == USUAL else "network.safetensors"  # other forms have no room for it
    where = [f"`{holder}` holds them as metadata, all of them, under keys that begin with `moco.`."] if facts else []
    return [_list(facts), *where] if facts else []


def _sides(value: Any) -> str:
    return str(value) if isinstance(value, int) else "x".join(map(str, value))


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


def _policy(result: Result, manifest: Manifest) -> str:
    policy = None if result.best is None else result.best.policy
    lines = describe_groups(policy, result.groups)
    if (advice := precision_advice(policy, manifest.network.layers)) is not None:
        lines.append(advice)
    return "\n".join(f"- {_text(line)}" for line in lines) or "Nothing was changed."


def _list(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"- {_text(name)}: {_text(text)}" for name, text in pairs.items())


def _text(text: str) -> str:
    """Text that Markdown takes as text: one line, nothing that starts markup or a table's cell."""
    for special in "\\`*|<[":
        text = text.replace(special, f"\\{special}")
    return " ".join(text.split())
