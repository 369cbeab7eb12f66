"""Statements about accuracy that hold on images that the search never saw."""
