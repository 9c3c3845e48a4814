"""Benchmarks that check before they time: `machine`, `contestants` (processes), `conv`, `crf`, `aspp`, `network`."""
