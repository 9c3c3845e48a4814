"""Benchmark results as text: one line for each case and pass, the contestants side by side."""


def conv_table(found):
    """Return the results of `bench.conv.run` as lines of text."""
    methods = list(dict.fromkeys(r["method"] for r in found["rows"]))
    groups = {}
    for row in found["rows"]:
        groups.setdefault((row["case"], row["pass"]), {})[row["method"]] = row
    head = f"{'layer':<34}{'pass':<9}" + "".join(f"{m + ' ms':>17}" for m in methods)
    head += f"{'of GEMM rate':>14}{'padded work':>13}{'extra MB':>18}"
    lines = [head, "-" * len(head)]
    for (case, which), row in groups.items():
        first = row[methods[0]]
        times = "".join(f"{row[m]['seconds'] * 1e3:>17.2f}" for m in methods)
        padded = max(r["padded_work"] for r in row.values())
        extra = " / ".join("-" if r["extra_bytes"] is None else f"{r['extra_bytes'] / 1e6:.1f}" for r in row.values())
        lines.append(
            f"{case:<34}{which:<9}{times}{first['gemm_seconds'] / first['seconds']:>14.2f}{padded:>13.2f}{extra:>18}"
        )
    lines.append(
        "of GEMM rate: the bare matrix product's time over the first method's; extra MB: NumPy's peak beyond the result"
    )
    if any(row["gemm_seconds"] > 1.3 * row["seconds"] for row in found["rows"]):
        lines.append("Some shares of the GEMM rate exceed 1: the machine was busy with other work, run again.")
    return lines


def environment_lines(found):
    """Return the machine and its limits as lines of text."""
    e, top = found["environment"], found["limits"]
    names = ("python", "numpy", "numba", "torch", "pydensecrf")
    peak = f"multiply-adds {top['peak_gflops']:.0f} GFLOP/s, " if "peak_gflops" in top else ""
    versions = ", ".join(f"{name} {e[name]}" for name in names if e.get(name))
    return [
        f"{e['cpu']}, {e['threads']} of {e['cores']} cores; {versions}; {e['blas']}",
        f"limits of the machine: {peak}matrix product {top['gemm_gflops']:.0f} GFLOP/s, "
        f"copy {top['copy_gbps']:.1f} GB/s",
    ]
