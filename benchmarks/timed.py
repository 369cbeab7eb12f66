"""A searcher whose own processor time is counted, for the benchmarks that show what a suggestion takes."""

from __future__ import annotations

from time import process_time

from moco.interfaces import Searcher, SearcherCapabilities
from moco.trial import Suggestion, Trial


class Timed:
    """A searcher with the processor's seconds that its asks and tells took."""

    def __init__(self, searcher: Searcher) -> None:
        """Begin at 0 seconds."""
        self._searcher, self.seconds = searcher, 0.0
        self.capabilities: SearcherCapabilities = searcher.capabilities

    def ask(self) -> Suggestion:
        """The searcher's suggestion."""
        began = process_time()
        suggestion = self._searcher.ask()
        self.seconds += process_time() - began
        return suggestion

    def tell(self, trial: Trial) -> None:
        """Tell the searcher."""
        began = process_time()
        self._searcher.tell(trial)
        self.seconds += process_time() - began
