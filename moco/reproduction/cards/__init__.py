"""The cards: one file each, registered in registry.py. Names of methods, searchers and metrics are at home here."""
