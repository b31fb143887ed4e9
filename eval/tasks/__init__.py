"""What can be measured: one file a task, with `measure` (runs in the worker) and `score` (pure, afterwards)."""
