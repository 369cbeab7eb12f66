"""What gives a compressed network its accuracy back without training."""
