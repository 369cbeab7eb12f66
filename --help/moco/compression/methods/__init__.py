"""The compression methods."""
