"""The command line and the Python functions."""
