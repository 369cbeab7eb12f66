"""Plug-ins of moco, imported as moco.hardware."""

if __name__ == "hardware":
    raise ImportError("import 'moco.hardware', not 'hardware': one file must not become two modules")
