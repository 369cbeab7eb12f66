"""The command line and the Python functions: the only room in which names become objects."""
