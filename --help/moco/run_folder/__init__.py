"""The run folder: how it is written, and what is read back."""
