"""One search of a network, from the job with all its parts to the delivered network."""
