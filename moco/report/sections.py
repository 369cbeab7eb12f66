"""The sections of the page, in their order; each is a function from what was found to HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from moco.report.against_reference import compare
from moco.report.figures import hypervolume_figure, policy_figure, score_figure, seconds_figure
from moco.report.formatting import NOT_AVAILABLE, label, seconds
from moco.report.front import Cloud, front_figure, panels
from moco.report.markup import Html, element, join
from moco.report.policy_text import describe_groups
from moco.report.run_summary import asked, network_name, plain
from moco.report.snippet import onnxruntime_snippet
from moco.report.tables import attempts_table, bounds_table, comparison_table, definitions, trials_table, yes_no
from moco.report.verdict import Status, accuracy_text, verdict
from moco.run_folder.reading import TrialRecord, objectives

_TONES = {
    Status.CERTIFIED: "good",
    Status.NOT_CERTIFIED: "warn",
    Status.INFEASIBLE: "bad",
    Status.NOTHING: "bad",
}


_COMPARISON_NOTE = (
    "Under each value: its ratio to the reference (new / reference) and, where it was estimated, its 95 % interval. "
    "Accuracies are those of the search split; their interval is that of the paired difference to the reference. "
    "A ladder 0.35 is a uniform policy: each layer 35 % of the way from whole to the least that it may keep."
)
_UNCERTIFIED = "No network was certified: there was nothing to certify, or no split for it."


def heading(result: Mapping[str, Any], manifest: Mapping[str, Any]) -> Html:
    """Title and what was asked."""
    text = (result.get("objective") or {}).get("text")
    lead = element("p", str(text), class_="lead") if text else Html("")
    return element(
        "header", element("h1", _breakable(str(result["experiment"]))), lead, definitions(asked(result, manifest))
    )


def verdict_section(result: Mapping[str, Any], manifest: Mapping[str, Any]) -> Html:
    """The outcome in one sentence, coloured and named."""
    found = verdict(result, network_name(manifest))
    n_warnings = len(result.get("warnings") or [])
    noun = "warning" if n_warnings == 1 else "warnings"
    more = (
        element("p", element("a", f"{n_warnings} {noun}", href="#warnings"), class_="more") if n_warnings else Html("")
    )
    parts = [element("h2", found.status.value), element("p", _unbroken(found.text)), more]
    return element("section", join(parts), class_=f"verdict {_TONES[found.status]}", id="verdict")


def comparison_section(result: Mapping[str, Any], trials: Sequence[TrialRecord]) -> Html:
    """The chosen network against the reference and the baselines."""
    note = _COMPARISON_NOTE
    if result.get("retimed"):
        names = ", ".join(label(name) for name in result["retimed"])
        note += f" The chosen network was timed again, longer, at the end ({names})."
    if not any(entry["name"] != "reference" for entry in result.get("baselines") or []):
        note += " The search had no baselines."
    return _section("comparison", "Was the search worth it?", comparison_table(compare(result, trials)), _note(note))


def front_section(result: Mapping[str, Any], trials: Sequence[TrialRecord]) -> Html:
    """Accuracy against each cost."""
    cloud = Cloud.of(result, trials)
    names = panels(cloud, objectives(result))
    if not names:
        return _section("front", "The front", _note("No trial measured both an accuracy and a cost."))
    figures = [
        _figure(
            f"front-{name}",
            f"Accuracy against {label(name)}",
            front_figure(cloud, name, 430 if place == 0 else 290, place == 0),
            place == 0,
        )
        for place, name in enumerate(names)
    ]
    note = "The line joins the feasible networks that no other feasible one beats on the two axes of its picture. "
    note += "Touch or point at a network to see its policy. Repeated policies are drawn once."
    class_ = "figures three" if len(names) % 3 == 1 else "figures"
    return _section("front", "The front", element("div", join(figures), class_=class_), _note(note))


def anytime_section(result: Mapping[str, Any], trials: Sequence[TrialRecord]) -> Html:
    """How good the search was after each trial."""
    volume = result.get("hypervolume") or {}
    figures = [
        _figure(name, caption, figure)
        for name, caption, figure in (
            ("score", "Best feasible score", score_figure(trials)),
            ("hypervolume", "Hypervolume", hypervolume_figure(trials, _reference_point(result))),
        )
        if figure is not None
    ]
    if not figures:
        return _section("anytime", "Progress of the search", _note("No feasible trial has a score."))
    note = ""
    if volume.get("value") is not None:
        note = f"Hypervolume at the end {volume['value']:.4g}, reference point {plain(volume.get('reference_point'))}."
    return _section("anytime", "Progress of the search", element("div", join(figures), class_="figures"), _note(note))


def policy_section(result: Mapping[str, Any], manifest: Mapping[str, Any]) -> Html:
    """What was done to each layer of the chosen network."""
    best = result.get("best")
    if best is None:
        return Html("")
    layers = (manifest.get("network") or {}).get("layers") or []
    figure = policy_figure(layers, best.get("policy"))
    lines = describe_groups(best.get("policy"), (result.get("space") or {}).get("groups") or [])
    words = element(
        "details", element("summary", "The policy in words"), element("ul", join(element("li", x) for x in lines))
    )
    chart = _note("The manifest names no layers.") if figure is None else _figure("policy-chart", "", figure)
    return _section("policy", "What was done, layer by layer", chart, words if lines else Html(""))


def seconds_section(result: Mapping[str, Any]) -> Html:
    """Where the time went."""
    spent = result.get("seconds") or {}
    figure = seconds_figure(spent)
    chart = _note("No stage was timed.") if figure is None else _figure("seconds-chart", "", figure)
    cache = result.get("cache") or {}
    note = f"Total {seconds(spent.get('total'))}"
    if cache.get("hits") is not None:
        note += f"; evaluations: {cache.get('misses', NOT_AVAILABLE)} computed, {cache['hits']} known already"
    return _section("seconds", "Where the time went", chart, _note(f"{note}."))


def certificate_section(result: Mapping[str, Any]) -> Html:
    """The certificate in full, with its attempts."""
    certificate = result.get("certificate")
    if not certificate:
        return _section("certificate", "Certificate", _note(_UNCERTIFIED))
    images, confidence = certificate.get("images"), certificate.get("confidence")
    facts = {
        "Holds": yes_no(certificate.get("holds")),
        "Floor": accuracy_text(certificate, "floor"),
        "Estimate": accuracy_text(certificate, "estimate"),
        "Lower bound": accuracy_text(certificate, "lower_bound"),
        "Confidence": NOT_AVAILABLE if confidence is None else f"{100 * confidence:g} %, one-sided",
        "Images": NOT_AVAILABLE if images is None else f"{images:,}, unseen by the search",
        "Method": str(certificate.get("method") or NOT_AVAILABLE),
    }
    parts = [element("blockquote", str(certificate.get("statement") or NOT_AVAILABLE)), definitions(facts)]
    if certificate.get("bounds"):
        parts += [element("h3", "Bounds"), bounds_table(certificate["bounds"])]
    if certificate.get("attempts"):
        parts += [element("h3", "Attempts"), attempts_table(certificate)]
    note = "Points (pp) are differences of top-1 accuracy to the reference, paired image by image."
    return _section("certificate", "Certificate", *parts, _note(note))


def deploy_section(result: Mapping[str, Any], manifest: Mapping[str, Any]) -> Html:
    """How to run the delivered file."""
    if result.get("best") is None:
        return Html("")
    words = (
        "best/model.onnx",
        " takes normalised float32 images in NCHW order as ",
        "input",
        " and returns ",
        "logits",
    )
    text = [element("code", word) if place % 2 == 0 else word for place, word in enumerate(words)]
    use = element("p", join([*text, "; a batch may have any size. From the run folder:"]))
    return _section("deploy", "Deploy it", use, _code(onnxruntime_snippet(manifest, "best/model.onnx")))


def reproduce_section(manifest: Mapping[str, Any], experiment_yaml: str) -> Html:
    """Command, seeds, versions, hardware and hashes."""
    parts = [_code(str(manifest.get("command") or NOT_AVAILABLE))]
    splits = (manifest.get("data") or {}).get("splits") or {}
    data = {"all": str((manifest.get("data") or {}).get("hash") or NOT_AVAILABLE)}
    data |= {
        name: f"{split.get('images', NOT_AVAILABLE)} images, {split.get('hash', NOT_AVAILABLE)}"
        for name, split in splits.items()
    }
    for title, content in (
        ("Hardware", manifest.get("hardware")),
        ("Versions", manifest.get("versions")),
        ("Seeds", manifest.get("seeds")),
        ("Data hashes", data),
    ):
        texts = {str(key): plain(value) for key, value in (content or {}).items()}
        parts.append(element("details", element("summary", title), definitions(texts or {title: NOT_AVAILABLE})))
    parts.append(element("details", element("summary", "Resolved experiment"), _code(experiment_yaml)))
    return _section("reproduce", "Reproduce it", *parts)


def warnings_section(result: Mapping[str, Any]) -> Html:
    """What should be doubted; nothing where nothing was noticed."""
    items = [element("li", str(text)) for text in result.get("warnings") or []]
    if not items:
        return Html("")
    return _section("warnings", "Warnings", element("div", element("ul", join(items)), class_="warnings"))


def trials_section(result: Mapping[str, Any], trials: Sequence[TrialRecord]) -> Html:
    """Every trial, folded."""
    groups = (result.get("space") or {}).get("groups") or []
    summary = element("summary", f"All {len(trials)} trials")
    return _section("trials", "Trials", element("details", summary, trials_table(trials, groups)))


def _reference_point(result: Mapping[str, Any]) -> list[float] | None:
    point = (result.get("hypervolume") or {}).get("reference_point")
    if isinstance(point, Mapping):
        names = objectives(result)
        point = [point[name] for name in names] if names and all(name in point for name in names) else None
    return None if point is None else [float(loss) for loss in point]


def _section(name: str, title: str, *parts: Html) -> Html:
    return element("section", element("h2", title), *parts, id=name)


def _unbroken(text: str) -> str:
    # a line must not end between a number and its unit
    return text.replace(" %", "\u00a0%").replace(" pp", "\u00a0pp")


def _breakable(name: str) -> Html:
    # a phone may break a long name after its underscores
    first, *others = name.split("_")
    return join([first, *(part for other in others for part in ("_", Html("<wbr>"), other))])


def _note(text: str) -> Html:
    return element("p", text, class_="note") if text else Html("")


def _code(text: str) -> Html:
    return element("pre", element("code", text))


def _figure(name: str, caption: str, figure: go.Figure, first: bool = False) -> Html:
    # "<" would end the script early in a text that holds "</script"
    data = Html(figure.to_json().replace("<", "\\u003c"))
    return element(
        "figure",
        element("figcaption", caption) if caption else Html(""),
        element("div", class_="plot", id=name, style=f"--height: {figure.layout.height}px"),
        element("script", data, type="application/json", id=f"{name}-data"),
        class_="first" if first else None,
    )
