"""Compiled functions: how a Python function becomes machine code, is kept on disk, and runs on all cores.

1. `numba_or_not`  Numba where it is installed, otherwise plain Python
2. `compiler`      the decorator `compiled`, and one line on standard error for each compilation
3. `disk_cache`    compiled code on disk, never older than its source
4. `threads`       a compiled function on all cores, by Python threads
5. `barrier`       threads that wait for each other inside compiled code
6. `lanes`         eight numbers at once (SIMD), on NumPy arrays; `llvm_lanes` compiled
7. `exponential`   the exponential as a formula
8. `generated`     functions whose text is written for one tile
9. `gpu`           whether a GPU can be used, and how many threads to launch
10. `warmup`       compiled functions, called once in advance
"""
