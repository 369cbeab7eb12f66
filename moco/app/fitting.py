"""Whether a searcher can take a space, decided before anything is built or measured for it."""

from __future__ import annotations

from moco.errors import ConfigError
from moco.interfaces import SearcherCapabilities
from moco.registry import plugin
from moco.space import SearchSpace
from moco.study import misfit


def checked_searcher(searcher: str, space: SearchSpace, trials: int) -> list[str]:
    """Pass a searcher that can take the space, with a warning where it is not made for so many trials.

    Told before minutes are spent on the reference.

    Raises:
        ConfigError: it cannot; the parameter that is in the way is named.
    """
    capabilities = plugin("searcher", searcher, "searcher.name").capabilities
    if not isinstance(capabilities, SearcherCapabilities):  # a class whose options decide: its instance will tell
        return []
    reason = capabilities.why_not_in(space)
    if reason is not None:
        raise ConfigError(misfit(searcher, reason, "searcher.name"))
    if capabilities.max_trials is None or trials <= capabilities.max_trials:
        return []
    most = capabilities.max_trials
    return [f"budget.trials: {trials} is more than the {most} that '{searcher}' is made for; it becomes slow"]
