"""Converts files for LiteRT, in an environment of its own (docs/runtimes.md)."""
