"""Benchmarks that check before they time: `machine`, `cases`, `worker` (one process a contestant), `conv`, `table`."""
