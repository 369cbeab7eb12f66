"""Every registered plug-in holds to its kind's contract: a new one, of an installed package too, joins by its name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from moco import registry
from moco.optional import installed
from moco.testing import SUITES, checks
from moco.testing.suite import Check
from tests.hardware.agents import TOKEN, AgentProcess, free_port, served
from tests.hardware.litert_lack import litert_lack
from tests.hardware.scripted import ScriptedTarget
from tests.hardware.tvm_lack import tvm_lack
from tests.objectives.test_feasibility_first import PROTOCOLS

NOT_RANDOM = {"binary_search", "greedy", "grid", "knapsack", "uniform"}
"""Searchers whose suggestions do not depend on the seed."""

SLOW: dict[str, dict[str, Any]] = {
    "ax": {},
    "botorch": {"startup": 5, "samples": 32, "raw": 64, "restarts": 2},
    "gp": {"startup": 5},
}
"""Searchers that take a second for a suggestion, with options by which their model takes over after five trials."""

N_SLOW = 10
"""Trials of a run of those."""


def trained(network: nn.Module, images: Tensor, labels: Tensor) -> None:
    """A training function as a user may bring one: one step of the last bias."""
    nn.functional.cross_entropy(network(images), labels).backward()
    bias = list(network.parameters())[-1]
    bias.data -= bias.grad
    network.zero_grad()


PORT = free_port()
"""Where the agent of the target that asks one listens, while its checks run."""

OPTIONS: dict[tuple[str, str], dict[str, Any]] = {
    **{("objective", name): options for name, options in PROTOCOLS.items()},
    **{("searcher", name): options for name, options in SLOW.items()},
    ("recovery_step", "custom"): {"function": trained},
    ("target", "remote"): {"url": f"http://127.0.0.1:{PORT}"},
}
SETTINGS: dict[str, dict[str, Any]] = {
    **{name: {"seeded": False} for name in NOT_RANDOM},
    **{name: {"trials": N_SLOW} for name in SLOW},
}


def all_checks() -> Iterator[Any]:
    for kind in registry.BUILT_IN:
        for name in registry.names(kind):
            if (kind, name) == ("target", "tensorrt") and not (installed("tensorrt") and torch.cuda.is_available()):
                continue  # its device must be there
            if (kind, name) == ("target", "litert") and (why := litert_lack()):
                yield pytest.param(None, id=f"{kind}-{name}", marks=pytest.mark.skip(reason=why))
                continue
            if (kind, name) == ("target", "tvm") and (why := tvm_lack()):
                yield pytest.param(None, id=f"{kind}-{name}", marks=pytest.mark.skip(reason=why))
                continue
            settings = SETTINGS.get(name, {}) if kind == "searcher" else {}
            found = checks(kind, name, OPTIONS.get((kind, name)), **settings)
            yield from params(found, kind, name, *([pytest.mark.heavy] if kind == "searcher" and name in SLOW else []))
    # Works otherwise on layer groups: its model takes over at once.
    layered = checks("searcher", "greybox", {"ladder": 4, "steps": 4}, layered=True)
    yield from params(layered, "searcher", "greybox, layers", pytest.mark.slow)
    yield from params(checks("target", ScriptedTarget), "target", "scripted")


def params(found: list[Check], kind: str, name: str, *marks: Any) -> list[Any]:
    return [pytest.param(check, id=f"{kind}-{name}-{check.__name__}", marks=marks) for check in found]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with served(tmp_path_factory.mktemp("agent"), port=PORT) as found:
        yield found


@pytest.mark.parametrize("check", list(all_checks()))
def test_it_holds_to_its_contract(
    check: Check, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (check.suite.kind, check.suite.name) == ("target", "remote"):
        request.getfixturevalue("agent")
        monkeypatch.setenv("MOCO_TOKEN", TOKEN)
    check()


def test_there_is_a_suite_for_every_kind() -> None:
    assert set(SUITES) == set(registry.BUILT_IN) == set(registry.MEMBERS)


def test_a_broken_contract_is_told_with_the_plug_in_and_the_statement() -> None:
    class Forgetful(registry.plugin("searcher", "random")):  # type: ignore[misc]
        def tell(self, trial: object) -> None:
            """Learn nothing, not even that it was asked."""

    broken = {}
    for check in checks("searcher", Forgetful):
        try:
            check()
        except Exception as error:
            broken[check.__name__] = error.__notes__
    assert broken["a_rebuilt_searcher_never_gives_an_id_twice"] == [
        "the contract of searcher 'Forgetful' does not hold: a rebuilt searcher never gives an id twice"
    ]
    assert "the_same_seed_gives_the_same_suggestions" not in broken


def test_the_suites_need_no_pytest() -> None:
    code = "import sys; sys.modules['pytest'] = None; from moco.testing import checks; checks('counter', 'rapl')[0]()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
