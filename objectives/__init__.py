"""Plug-ins of moco, imported as moco.objectives."""

if __name__ == "objectives":
    raise ImportError("import 'moco.objectives', not 'objectives': one file must not become two modules")
