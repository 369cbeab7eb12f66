"""What is found out about a network before it is searched."""
