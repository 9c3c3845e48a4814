"""`atrous info`: versions, threads, BLAS, CUDA and the cache of compiled code."""

from atrous.cli.common import add_command, printer, write_json


def add(commands):
    """Add the command and its arguments."""
    info = add_command(commands, "info", run, "show versions, threads, BLAS, CUDA and the cache")
    info.add_argument("--clear-cache", action="store_true", help="delete the compiled code")


def run(arguments):
    """Run the command."""
    from atrous.jit import disk_cache

    if arguments.clear_cache:
        freed = disk_cache.clear_cache()
        printer(arguments)(f"cleared {freed / 1e6:.1f} MB of compiled code")
        write_json(arguments, {"cleared_bytes": freed})
        return
    from atrous.bench import machine
    from atrous.jit import gpu
    from atrous.jit.warmup import threading_layer

    found = machine.environment()
    threads, layer = threading_layer()
    root = disk_cache.cache_root()
    size = sum(f.stat().st_size for f in root.rglob("*") if f.is_file()) if root and root.is_dir() else 0
    found |= {
        **{name: machine.installed(name) for name in ("scipy", "pillow", "matplotlib", "numba-cuda")},
        "numba_threads": threads,
        "threading_layer": layer,
        "cuda": gpu.why_not() or "available",
        "cache": "off" if root is None else str(root),
        "cache_bytes": size,
    }
    for name, value in found.items():
        printer(arguments)(f"{name:<16} {'not installed' if value is None else value}")
    write_json(arguments, found)
