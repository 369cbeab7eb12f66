"""What a user asked for: the experiment, read, checked once and built."""
