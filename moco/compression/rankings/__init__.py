"""How important channels are."""
