"""Finalists: the most promising policies of a search are trained on in rounds, and the best of them delivered."""
