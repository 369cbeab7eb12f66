"""What a client and an agent of `moco serve` say to each other: forms in JSON, and the client's end."""
