"""Steps that give a compressed network accuracy back: refit, batch-norm re-estimation and training."""
