"""Which widths, precisions and ranks make layers faster on the target."""
