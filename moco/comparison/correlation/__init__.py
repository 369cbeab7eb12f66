"""How the metrics of measured networks go together: correlations and contradictions of order (F1.CORR, Q06)."""
