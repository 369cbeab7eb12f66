"""Searchers against each other: runs, curves, charged time, statistics and the folder of a comparison."""
