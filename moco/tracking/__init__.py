"""Where a search is recorded (the ledger, an Optuna study) and shown (reporters, MLflow among them)."""
