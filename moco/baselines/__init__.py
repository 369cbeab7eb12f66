"""Networks that users would make without a search: what a search must beat to have been worth it."""
