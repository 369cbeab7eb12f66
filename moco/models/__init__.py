"""Part of moco: see docs and the module names."""
