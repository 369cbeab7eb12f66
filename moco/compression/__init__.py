"""What is done to a network: coupled channels, layer groups, surgery, and the proof that it was done."""
