"""The search space of a network: what can be chosen, and what a choice means."""
