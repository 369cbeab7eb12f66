"""Counters of energy, one file each (`moco.interfaces.Counter`)."""
