"""One candidate from policy to metrics: built, scored, timed and stored."""
