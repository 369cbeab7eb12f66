"""Students: networks of another architecture that are trained from a search's network, and measured beside it."""
