"""What searchers of several kinds share."""
