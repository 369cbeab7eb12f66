"""The sections of the page, in their order; each is a function from what was found to HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moco.report.against_reference import compare
from moco.report.document import plot, plots
from moco.report.figures import hypervolume_figure, policy_figure, score_figure, seconds_figure
from moco.report.formatting import NOT_AVAILABLE, label, seconds
from moco.report.front import Cloud, front_figure, panels
from moco.report.markup import Html, code, details, element, join, listed, note, section
from moco.report.policy_text import describe_groups
from moco.report.run_summary import plain, requested
from moco.report.tables import attempts_table, bounds_table, comparison_table, definitions, trials_table, yes_no
from moco.report.verdict import Status, accuracy_text, verdict
from moco.run_folder.manifest import Manifest
from moco.run_folder.result import Result
from moco.run_folder.trial_record import TrialRecord

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


def heading(result: Result, manifest: Manifest) -> Html:
    """Title and what was asked."""
    text = result.objective.text
    lead = element("p", text, class_="lead") if text else Html("")
    return element(
        "header", element("h1", _breakable(result.experiment)), lead, definitions(requested(result, manifest))
    )


def verdict_section(result: Result, manifest: Manifest) -> Html:
    """The outcome in one sentence, coloured and named."""
    found = verdict(result, manifest.network.name)
    n_warnings = len(result.warnings)
    noun = "warning" if n_warnings == 1 else "warnings"
    more = (
        element("p", element("a", f"{n_warnings} {noun}", href="#warnings"), class_="more") if n_warnings else Html("")
    )
    parts = [element("h2", found.status.value), element("p", _unbroken(found.text)), more]
    return element("section", join(parts), class_=f"verdict {_TONES[found.status]}", id="verdict")


def comparison_section(result: Result, trials: Sequence[TrialRecord]) -> Html:
    """The chosen network against the reference and the baselines."""
    text = _COMPARISON_NOTE
    if result.retimed:
        names = ", ".join(label(name) for name in result.retimed)
        text += f" The chosen network was timed again, longer, at the end ({names})."
    if not any(baseline.name != "reference" for baseline in result.baselines):
        text += " The search had no baselines."
    return section("comparison", "Was the search worth it?", comparison_table(compare(result, trials)), note(text))


def front_section(result: Result, trials: Sequence[TrialRecord]) -> Html:
    """Accuracy against each cost."""
    cloud = Cloud.of(result, trials)
    names = panels(cloud, result.objectives)
    if not names:
        return section("front", "The front", note("No trial measured both an accuracy and a cost."))
    figures = [
        plot(
            f"front-{name}",
            f"Accuracy against {label(name)}",
            front_figure(cloud, name, 430 if place == 0 else 290, place == 0),
            place == 0,
        )
        for place, name in enumerate(names)
    ]
    text = "The line joins the feasible networks that no other feasible one beats on the two axes of its picture. "
    text += "Touch or point at a network to see its policy. Repeated policies are drawn once."
    return section("front", "The front", plots(figures), note(text))


def anytime_section(result: Result, trials: Sequence[TrialRecord]) -> Html:
    """How good the search was after each trial."""
    figures = [
        plot(name, caption, figure)
        for name, caption, figure in (
            ("score", "Best feasible score", score_figure(trials)),
            ("hypervolume", "Hypervolume", hypervolume_figure(trials, result.reference_point)),
        )
        if figure is not None
    ]
    if not figures:
        return section("anytime", "Progress of the search", note("No feasible trial has a score."))
    text, volume = "", result.hypervolume
    if volume.value is not None:
        text = f"Hypervolume at the end {volume.value:.4g}, reference point {plain(volume.reference_point)}."
    return section("anytime", "Progress of the search", element("div", *figures, class_="figures"), note(text))


def policy_section(result: Result, manifest: Manifest) -> Html:
    """What was done to each layer of the chosen network."""
    if result.best is None:
        return Html("")
    figure = policy_figure(manifest.network.layers, result.best.policy)
    lines = describe_groups(result.best.policy, result.groups)
    words = details("The policy in words", listed(lines)) if lines else Html("")
    chart = note("The manifest names no layers.") if figure is None else plot("policy-chart", "", figure)
    return section("policy", "What was done, layer by layer", chart, words)


def seconds_section(result: Result) -> Html:
    """Where the time went."""
    figure = seconds_figure(result.seconds)
    chart = note("No stage was timed.") if figure is None else plot("seconds-chart", "", figure)
    text = f"Total {seconds(result.total_s)}"
    if result.cache.hits is not None:
        text += f"; evaluations: {plain(result.cache.misses)} computed, {result.cache.hits} known already"
    return section("seconds", "Where the time went", chart, note(f"{text}."))


def certificate_section(result: Result) -> Html:
    """The certificate in full, with its attempts."""
    certificate = result.certificate
    if certificate is None:
        return section("certificate", "Certificate", note(_UNCERTIFIED))
    images, confidence = certificate.images, certificate.confidence
    facts = {
        "Holds": yes_no(certificate.holds),
        "Floor": accuracy_text(certificate.floor, certificate),
        "Estimate": accuracy_text(certificate.estimate, certificate),
        "Lower bound": accuracy_text(certificate.lower_bound, certificate),
        "Confidence": NOT_AVAILABLE if confidence is None else f"{100 * confidence:g} %, one-sided",
        "Images": NOT_AVAILABLE if images is None else f"{images:,}, unseen by the search",
        "Method": certificate.method or NOT_AVAILABLE,
    }
    parts = [element("blockquote", certificate.statement or NOT_AVAILABLE), definitions(facts)]
    if certificate.bounds:
        parts += [element("h3", "Bounds"), bounds_table(certificate.bounds)]
    if certificate.attempts:
        parts += [element("h3", "Attempts"), attempts_table(certificate)]
    text = "Points (pp) are differences of top-1 accuracy to the reference, paired image by image."
    return section("certificate", "Certificate", *parts, note(text))


def deploy_section(result: Result, snippet: str | None) -> Html:
    """How to run the delivered file, in the words of the target that it was made for."""
    if result.best is None:
        return Html("")
    words = (
        "best/model.onnx",
        " takes normalised float32 images in NCHW order as ",
        "input",
        " and returns ",
        "logits",
    )
    text = [element("code", word) if place % 2 == 0 else word for place, word in enumerate(words)]
    how = "From the run folder:" if snippet is not None else "best/card.md tells how to run it."
    use = element("p", join([*text, f"; a batch may have any size. {how}"]))
    return section("deploy", "Deploy it", use, Html("") if snippet is None else code(snippet))


def reproduce_section(manifest: Manifest, experiment_yaml: str) -> Html:
    """Command, seeds, versions, hardware and hashes."""
    parts = [code(manifest.command or NOT_AVAILABLE)]
    splits = manifest.data.splits.items()
    hashes = {name: f"{plain(split.images)} images, {plain(split.hash)}" for name, split in splits}
    facts: dict[str, Mapping[str, Any]] = {
        "Hardware": manifest.hardware,
        "Versions": manifest.versions,
        "Seeds": manifest.seeds,
        "Data hashes": {"all": str(manifest.data.hash or NOT_AVAILABLE), **hashes},
    }
    for title, content in facts.items():
        texts = {name: plain(value) for name, value in content.items()}
        parts.append(details(title, definitions(texts or {title: NOT_AVAILABLE})))
    return section("reproduce", "Reproduce it", *parts, details("Resolved experiment", code(experiment_yaml)))


def trials_section(result: Result, trials: Sequence[TrialRecord]) -> Html:
    """Every trial, folded."""
    table = trials_table(trials, result.groups)
    return section("trials", "Trials", details(f"All {len(trials)} trials", table))


def _unbroken(text: str) -> str:
    # a line must not end between a number and its unit
    return text.replace(" %", "\u00a0%").replace(" pp", "\u00a0pp")


def _breakable(name: str) -> Html:
    # a phone may break a long name after its underscores
    first, *others = name.split("_")
    return join([first, *(part for other in others for part in ("_", Html("<wbr>"), other))])
