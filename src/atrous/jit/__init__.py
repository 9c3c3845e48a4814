"""Compiled functions: how a Python function becomes machine code, is kept on disk, and runs on all cores.

1. `compiler`     the decorator `compiled`, and one line on standard error for each compilation
2. `disk_cache`   compiled code on disk, never older than its source
3. `threads`      a compiled function on all cores, by Python threads
4. `barrier`      threads that wait for each other inside compiled code
5. `lanes`        eight numbers at once (SIMD)
6. `generated`    functions whose text is written for one tile
7. `gpu`          whether a GPU can be used, and how many threads to launch
8. `warmup`       compiled functions, called once in advance
"""
