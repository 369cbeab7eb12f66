"""The page of correlations: what is absent is n/a and no zero, and nothing of a run becomes markup."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from moco.comparison.correlation.coefficients import Coefficient
from moco.comparison.correlation.matrices import correlate
from moco.errors import RunFolderError
from moco.metrics import METRICS
from moco.report.correlation_page import correlation_page, heat_map, write_correlations
from moco.report.correlation_text import cell, lead, proxies, striking, told, with_interval
from tests.comparison.correlation.made import entry, five, run


def test_the_heat_map_has_pearson_below_spearman_above_and_no_colour_for_what_is_absent(tmp_path: Path) -> None:
    whole = correlate([run(tmp_path / "a", five())]).matrices[0]
    [drawn] = heat_map(whole).data
    names = list(METRICS)
    flops, latency, energy = (names.index(name) for name in ("flops", "latency_ms", "energy_j"))
    low, high = max(flops, latency), min(flops, latency)
    assert drawn.z[low][high] == pytest.approx(0.86249, abs=1e-5)
    assert drawn.z[high][low] == pytest.approx(0.8)  # ranks 2, 1, 4, 3, 5
    assert (drawn.z[energy][flops], drawn.text[energy][flops]) == (None, "n/a")
    assert (drawn.z[energy][energy], drawn.text[energy][energy]) == (None, "n/a")
    assert (drawn.z[flops][flops], drawn.text[flops][flops]) == (1, "1")
    assert "energy_j: no trial holds it" in drawn.hovertext[energy][flops]


def test_the_page_is_whole_and_escapes_what_a_run_says(tmp_path: Path) -> None:
    page = correlation_page(correlate([run(tmp_path / "a", five(), network="<b>net</script>")]))
    assert "<b>net" not in page
    assert "&lt;b&gt;net" in page
    assert page.count('class="plot"') == 2  # of all and of floats; integers are too few
    assert "4 networks are needed, found 0" in page
    body = page.split("<body")[1].split("plotly.js")[0]
    assert re.findall(r'(?:src|href)="?https?://', body) == []


def test_files_are_written_beside_each_other_or_not_at_all(tmp_path: Path) -> None:
    source = run(tmp_path / "a", five())
    assert write_correlations([source], None)[1] is None
    found, page = write_correlations([source], tmp_path / "deep" / "out")
    assert page == tmp_path / "deep" / "out" / "correlations.html"
    assert page.exists()
    data = json.loads((page.parent / "correlations.json").read_text(encoding="utf-8"))
    assert data == json.loads(json.dumps(found.to_json()))
    with pytest.raises(RunFolderError, match="cannot be written"):
        write_correlations([source], source / "trials.json" / "x")


def test_a_run_that_is_set_apart_is_named(tmp_path: Path) -> None:
    folders = [run(tmp_path / "a", five()), run(tmp_path / "b", five()[:4], network="other")]
    assert "no: another network (other)" in correlation_page(correlate(folders))


def test_sentences_give_values_intervals_and_counts(tmp_path: Path) -> None:
    trials = [*five(), entry(9, {}, state="rejected")]
    found = correlate([run(tmp_path / "a", trials)])
    assert lead(found).endswith("Left out: 1 rejected.")
    [clearest] = striking(found.matrices[0])
    assert told(clearest) == (
        f"trial 1 beats trial 0 of {tmp_path / 'a'} by latency, 1.000 ms [0.804, 1.196] against 2.000 ms "
        "[1.804, 2.196], and loses by FLOPs, 200 against 100"
    )
    heads = [line.split(":")[0] for line in proxies(found.matrices[0])]
    assert heads == ["parameters and latency", "MACs and latency", "BOPs and latency"]


def test_only_an_exact_coefficient_is_shown_as_one() -> None:
    assert cell(Coefficient(value=0.99999, trials=9)) == "+0.9999"
    assert cell(Coefficient(value=-1.0, trials=9)) == "-1.00"
    assert cell(Coefficient(value=0.0, trials=9)) == "+0.00"
    assert cell(None) == cell(Coefficient(reason="constant")) == "n/a"
    assert with_interval(Coefficient(value=0.5, low=0.1, high=0.8, trials=9)) == "+0.50 [+0.10, +0.80] (n = 9)"
    assert with_interval(Coefficient(reason="size constant")) == "n/a (size constant)"
