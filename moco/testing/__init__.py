"""Contract suites for every kind of plug-in, put to moco's own and to those of other packages.

    import pytest
    from moco.testing import checks

    @pytest.mark.parametrize("check", checks("searcher", "mine"))
    def test_it_holds_to_its_contract(check):
        check()

Without pytest: `for check in checks("searcher", "mine"): check()`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from moco.testing.suite import Check, Suite

SUITES = ("searcher", "objective", "target", "recovery_step", "counter", "method", "ranking")
"""The kinds; `RecoveryStepSuite` is the suite of the kind `recovery_step`, in the module of that name, and so on."""

if sys.modules.get("pytest"):  # so that it shows the values of a check that fails
    sys.modules["pytest"].register_assert_rewrite(*(f"{__name__}.{kind}" for kind in SUITES))


def checks(
    kind: str, plugin: str | type[Any], options: Mapping[str, Any] | None = None, **settings: Any
) -> list[Check]:
    """The statements of the contract of a plug-in, to be called one by one; each has a `__name__`.

    Args:
        kind: `searcher`, `objective`, `target`, `recovery_step`, `counter`, `method` or `ranking`.
        plugin: its registered name, or its class.
        options: that it is tested with, by name; the others have their defaults.
        settings: of the kind's suite. For a searcher: `trials` of a run, `seeded=False` where its suggestions do not
            depend on the seed, `layered=True` to test it on layer groups alone.

    Raises:
        ConfigError: there is no such plug-in, or it cannot be imported or lacks a member.
    """
    suite: type[Suite] = getattr(import_module(f"{__name__}.{kind}"), f"{kind.title().replace('_', '')}Suite")
    return list(suite(plugin, options, **settings).checks())
