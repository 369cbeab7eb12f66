"""The page and the console summary of a comparison."""
