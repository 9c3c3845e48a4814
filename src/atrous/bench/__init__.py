"""Benchmarks that check before they time: convolution, layers, the CRF, ASPP, networks; each program in a process."""
