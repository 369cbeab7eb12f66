"""What the agents share that walk over the layers of a network."""
