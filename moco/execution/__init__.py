"""Where evaluations run: in this process, or in worker processes that each build their own evaluator."""
