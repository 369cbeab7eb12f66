"""One candidate from policy to metrics; splits, accuracy, certificates and the store."""
