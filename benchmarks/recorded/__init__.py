"""Recorded evaluations of real networks, and surrogates of them: searchers are compared in seconds, not in hours."""
