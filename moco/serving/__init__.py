"""`moco serve`: the agent on a device, by which a search elsewhere opens, scores and times files here."""
