"""Benchmarks that check before they time: convolution, layers, the CRF, ASPP and networks, each in its own processes."""
