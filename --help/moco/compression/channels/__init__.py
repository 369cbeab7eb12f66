"""Which channels must go together, and the surgery that takes them out."""
