"""Plug-ins of moco, imported as moco.searchers."""

if __name__ == "searchers":
    raise ImportError("import 'moco.searchers', not 'searchers': one file must not become two modules")
