"""The published systems, each table of theirs a card that is measured again, and what holds of their findings."""
