"""The contents of a run folder's files as records, to JSON and back."""
