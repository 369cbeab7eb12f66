"""The 21 findings, each with its own test."""
