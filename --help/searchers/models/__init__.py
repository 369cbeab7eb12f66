"""Models of a searcher's trials, and what they say of new candidates."""
