"""RUN/report.html: one self-contained page that says what was asked, what came of it and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from moco.comparison.importance import importance_of
from moco.report.document import (
    Html,
    code,
    details,
    document,
    element,
    join,
    listed,
    note,
    plot,
    plots,
    section,
    warnings_section,
    written,
)
from moco.report.figures import hypervolume_figure, policy_figure, score_figure, seconds_figure
from moco.report.formatting import NOT_AVAILABLE, label, seconds
from moco.report.front import Cloud, front_figure, panels
from moco.report.importance_page import importance_section
from moco.report.policy_text import describe_groups
from moco.report.precision_advice import precision_advice
from moco.report.recovery_page import recovery_section
from moco.report.run_summary import plain, requested
from moco.report.tables import (
    attempts_table,
    bounds_table,
    classes_table,
    comparison_table,
    definitions,
    finalists_table,
    rivals_table,
    trials_table,
)
from moco.report.verdict import TONES, certificate_facts, compare, verdict
from moco.run_folder.manifest import Manifest
from moco.run_folder.network_file import USUAL
from moco.run_folder.reading import RunFolder, read_run, well_formed
from moco.run_folder.result import Result
from moco.run_folder.seal import SEALED
from moco.run_folder.trial_record import TrialRecord

_COMPARISON_NOTE = (
    "Under each value: its ratio to the reference (new / reference) and, where it was estimated, its 95 % interval. "
    "Accuracies are those of the search split; their interval is that of the paired difference to the reference. "
    "A ladder 0.35 is a uniform policy: each layer 35 % of the way from whole to the least that it may keep."
)
_RIVALS_NOTE = (
    "Made without the search, and measured when the delivered network was certified: scored on the same images, tested "
    "as strictly as an attempt at the certificate, timed as long; that is no certificate. A baseline is better where "
    "floor and bounds hold and its score is better by more than both intervals. Its processor time is that of making, "
    "training, scoring and timing it; the chosen one's is the search's, preparation included. Files: baselines/ here."
)
_CLASSES_NOTE = (
    "Top-1 accuracy on the certification images, the class that lost most first. The certificate is about all of them "
    "together; with few images of a class, chance moves its accuracy by several points."
)
_UNCERTIFIED = "No network was certified: there was nothing to certify, or no split for it."


def write_report(run: Path, snippet: Callable[[Manifest, str], str | None] = lambda _manifest, _file: None) -> Path:
    """The path of RUN/report.html, written anew from what the run folder holds.

    `snippet` gives, for a manifest and a file, Python that runs the file on the search's target; None where that is not
    known here. A RunFolderError where a file is missing or malformed, or the page cannot be written.
    """
    folder = read_run(run)
    with well_formed(f"{run}: result.json or manifest.json is not what a search writes"):
        names = (f"best/{name}" for name in (folder.file, *SEALED, "card.md"))
        delivered = [name for name in names if (run / name).is_file()]
        page = render(folder, snippet(folder.manifest, f"best/{folder.file}"), delivered)
    return written(run / "report.html", page)


def render(folder: RunFolder, snippet: str | None = None, delivered: Sequence[str] = ()) -> str:
    """The whole page; `snippet` runs the delivered file from the run folder, `delivered` are files there to link to."""
    result, manifest, trials = folder.result, folder.manifest, folder.trials
    sections = [
        _verdict_section(result, manifest),
        _comparison_section(result, trials),
        _finalists_section(result, trials),
        _front_section(result, trials),
        recovery_section(result, trials),
        _anytime_section(result, trials),
        importance_section(importance_of(trials)),
        _policy_section(result, manifest),
        _seconds_section(result),
        _certificate_section(result),
        _deploy_section(folder, snippet, delivered),
        _reproduce_section(manifest, folder.experiment_yaml),
        warnings_section(result.warnings),
        _trials_section(result, trials),
    ]
    return document(result.experiment, _heading(result, manifest), element("main", join(sections)), _made_by(manifest))


def _heading(result: Result, manifest: Manifest) -> Html:
    text = result.objective.text
    lead = element("p", text, class_="lead") if text else Html("")
    title = element("h1", _breakable(result.experiment))
    return element("header", title, lead, definitions(requested(result, manifest)))


def _verdict_section(result: Result, manifest: Manifest) -> Html:
    found = verdict(result, manifest.network.name)
    count = len(result.warnings)
    link = element("a", f"{count} warning" if count == 1 else f"{count} warnings", href="#warnings")
    more = element("p", link, class_="more") if count else Html("")
    parts = [element("h2", found.status.value), element("p", _unbroken(found.text)), more]
    return element("section", join(parts), class_=f"verdict {TONES[found.status]}", id="verdict")


def _comparison_section(result: Result, trials: Sequence[TrialRecord]) -> Html:
    text = _COMPARISON_NOTE
    if result.retimed:
        names = ", ".join(label(name) for name in result.retimed)
        text += f" The chosen network was timed again, longer, at the end ({names})."
    starts = any(baseline.name != "reference" for baseline in result.baselines)
    if not starts and not result.rivals:
        text += " The search had no baselines."
    parts = [comparison_table(compare(result, trials)), note(text)]
    if result.rivals:
        parts += [rivals_table(result), note(_RIVALS_NOTE)]
    return section("comparison", "Was the search worth it?", *parts)


def _finalists_section(result: Result, trials: Sequence[TrialRecord]) -> Html:
    if not result.finalists:
        return Html("")
    again = any(one.bits_of is not None for one in result.finalists)
    text = (
        "The most promising networks of the search were trained on, round by round; of each round the better ones "
        "went on to the next. All numbers are those after the round, the accuracy on the search images."
        + (" What is named in fewer bits has the weights of that training and was not trained again." if again else "")
    )
    return section("finalists", "Finalists", finalists_table(result.finalists, trials, result.best), note(text))


def _front_section(result: Result, trials: Sequence[TrialRecord]) -> Html:
    cloud = Cloud.of(result, trials)
    names = panels(cloud, result.objectives)
    if not names:
        return section("front", "The front", note("No trial measured both an accuracy and a cost."))
    figures = []
    for name in names:
        first = name == names[0]
        figure = front_figure(cloud, name, 430 if first else 290, first)
        figures.append(plot(f"front-{name}", f"Accuracy against {label(name)}", figure, first))
    text = "The line joins the feasible networks that no other feasible one beats on the two axes of its picture. "
    text += "Touch or point at a network to see its policy. Repeated policies are drawn once."
    return section("front", "The front", plots(figures), note(text))


def _anytime_section(result: Result, trials: Sequence[TrialRecord]) -> Html:
    score, volume = score_figure(trials), hypervolume_figure(trials, result.reference_point)
    drawn = (("score", "Best feasible score", score), ("hypervolume", "Hypervolume", volume))
    figures = [plot(name, caption, figure) for name, caption, figure in drawn if figure is not None]
    if not figures:
        return section("anytime", "Progress of the search", note("No feasible trial has a score."))
    text, end = "", result.hypervolume
    if end.value is not None:
        text = f"Hypervolume at the end {end.value:.4g}, reference point {plain(end.reference_point)}."
    return section("anytime", "Progress of the search", element("div", *figures, class_="figures"), note(text))


def _policy_section(result: Result, manifest: Manifest) -> Html:
    if result.best is None:
        return Html("")
    if (sibling := result.best.network) is not None:
        return section("policy", "What was done, layer by layer", note(f"{sibling} is no network of the search."))
    figure = policy_figure(manifest.network.layers, result.best.policy)
    lines = describe_groups(result.best.policy, result.groups)
    words = details("The policy in words", listed(lines)) if lines else Html("")
    chart = note("The manifest names no layers.") if figure is None else plot("policy-chart", "", figure)
    advice = precision_advice(result.best.policy, manifest.network.layers)
    told = Html("") if advice is None else note(f"{advice}.")
    return section("policy", "What was done, layer by layer", chart, words, told)


def _seconds_section(result: Result) -> Html:
    figure = seconds_figure(result.seconds)
    chart = note("No stage was timed.") if figure is None else plot("seconds-chart", "", figure)
    text = f"Total {seconds(result.seconds.get('total'))}"
    if result.cache.hits is not None:
        text += f"; evaluations: {plain(result.cache.misses)} computed, {result.cache.hits} known already"
    return section("seconds", "Where the time went", chart, note(f"{text}."))


def _certificate_section(result: Result) -> Html:
    certificate = result.certificate
    if certificate is None:
        return section("certificate", "Certificate", note(_UNCERTIFIED))
    images = certificate.images
    facts = certificate_facts(certificate, NOT_AVAILABLE if images is None else f"{images:,}, unseen by the search")
    parts = [element("blockquote", certificate.statement or NOT_AVAILABLE), definitions(facts)]
    if certificate.bounds:
        parts += [element("h3", "Bounds"), bounds_table(certificate.bounds)]
    if certificate.attempts:
        parts += [element("h3", "Attempts"), attempts_table(certificate)]
    text = "Points (pp) are differences of top-1 accuracy to the reference, paired image by image."
    parts.append(note(text))
    if result.per_class:
        parts.append(details("Accuracy by class", classes_table(result), note(_CLASSES_NOTE)))
    return section("certificate", "Certificate", *parts)


def _deploy_section(folder: RunFolder, snippet: str | None, delivered: Sequence[str]) -> Html:
    """How to run the delivered file, in the words of the target that it was made for."""
    if folder.result.best is None:
        return Html("")
    file, images, scores = (element("code", name) for name in (f"best/{folder.file}", "input", "logits"))
    how = "From the run folder:" if snippet is not None else "best/card.md tells how to run it."
    batch = "; a batch may have any size" if folder.file == USUAL else ""  # other forms may have fixed ones
    takes, end = " takes normalised float32 images in NCHW order as ", f"{batch}. {how}"
    use = element("p", file, takes, images, " and returns ", scores, end)
    links = [element("a", name, href=name) for name in delivered]
    files = (
        element("p", "Files: ", join([part for link in links for part in (", ", link)][1:]), ".") if links else Html("")
    )
    return section("deploy", "Deploy it", use, files, Html("") if snippet is None else code(snippet))


def _reproduce_section(manifest: Manifest, experiment_yaml: str) -> Html:
    parts = [code(manifest.command or NOT_AVAILABLE)]
    splits = manifest.data.splits.items()
    hashes = {name: f"{plain(split.images)} images, {plain(split.hash)}" for name, split in splits}
    facts: dict[str, Mapping[str, Any]] = {
        "Hardware": manifest.hardware,
        "Versions": manifest.versions,
        "Seeds": manifest.seeds,
        "Data hashes": {"all": manifest.data.hash or NOT_AVAILABLE, **hashes},
    }
    for title, content in facts.items():
        texts = {name: plain(value) for name, value in content.items()}
        parts.append(details(title, definitions(texts or {title: NOT_AVAILABLE})))
    resolved = details("Resolved experiment", code(experiment_yaml), class_="on-screen")
    return section("reproduce", "Reproduce it", *parts, resolved)


def _trials_section(result: Result, trials: Sequence[TrialRecord]) -> Html:
    return section("trials", "Trials", details(f"All {len(trials)} trials", trials_table(trials, result.groups)))


def _made_by(manifest: Manifest) -> str:
    version, made = manifest.versions.get("moco"), manifest.created
    return "Made by moco" + (f" {version}" if version else "") + (f" from a search of {made}" if made else "")


def _unbroken(text: str) -> str:
    # a line must not end between a number and its unit
    return text.replace(" %", "\u00a0%").replace(" pp", "\u00a0pp")


def _breakable(name: str) -> Html:
    # a phone may break a long name after its underscores
    first, *others = name.split("_")
    return join([first, *(part for other in others for part in ("_", Html("<wbr>"), other))])
