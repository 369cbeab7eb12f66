"""How much each layer bears, and the layer groups that follow from it."""
