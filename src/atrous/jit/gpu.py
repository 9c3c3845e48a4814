"""Whether CUDA kernels can run on this machine and, if not, why not; the size of a launch."""

from functools import cache

from atrous.errors import BackendUnavailable

THREADS = 128  # per block


@cache
def why_not():
    """Return None if CUDA kernels can run, on a GPU or in the simulator; otherwise a sentence that says why not."""
    try:
        from numba import config, cuda
    except Exception as error:  # numba-cuda without its runtime raises more than ImportError
        return f'numba.cuda cannot be imported ({error}). Install it with pip install "atrous[cuda]".'
    if config.ENABLE_CUDASIM:
        return None
    try:
        if cuda.is_available():
            return None
        error = cuda.cuda_error() if hasattr(cuda, "cuda_error") else None
    except Exception as problem:
        error = problem
    first = str(error).strip().splitlines()
    return "no NVIDIA GPU with a driver was found" + (f" ({first[0].rstrip(':.')})." if error and first else ".")


def require(owner, option="method"):
    """Raise BackendUnavailable unless CUDA kernels can run; `option` is the argument that asked for them."""
    reason = why_not()
    if reason:
        instead = 'Use method="auto"' if option == "method" else f"Leave {option} out"
        raise BackendUnavailable(
            f'{owner}: {option}="cuda" needs a CUDA device: {reason} {instead}, or set '
            "NUMBA_ENABLE_CUDASIM=1 before Python starts to run CUDA kernels in the simulator."
        )


def grid(count):
    """Return (blocks, threads per block) for at least `count` threads."""
    return max(1, -(-count // THREADS)), THREADS
