"""Sweep and schedule files of the dissertation (S2.07-S2.10), read as published and made into an experiment."""
