"""The micro-kernel: a small tile of a matrix product whose sums stay in registers.

A matrix product C += A·B does 2 flops for each pair of numbers it loads, and a processor can do far more flops than
loads. Three ideas close the gap; this file is the first.

    registers   a tile of C, R rows × L lines of 64 bytes, is summed in registers. Each step k loads R numbers of A and
                L lines of B and does R·L multiply-adds of whole lines:

                            B[k]   ░░░░░░░░░░░░░░░░░░░░░░░░     L lines
                                   ────────────────────────
                    A[0, k]  ▒  →  ████████████████████████
                    A[1, k]  ▒  →  ████████████████████████     R × L sums, never written before the last step
                    A[2, k]  ▒  →  ████████████████████████

    packing     B is laid out beforehand so that the lines of steps k, k + 1, … are neighbours (see `implicit_gemm`)
    caches      the depth is cut in pieces, so that the lines of one piece of B stay in the nearest cache while all rows
                of A pass by

How large is the tile? A multiply-add takes 4 steps of the clock, and a processor starts 2 (or with 64-byte registers 1
or 2) in each, so at least 8 sums must be independent of each other. And R·L lines, L lines of B and one number of A
must fit into the registers:

    AVX-512   32 registers of 64 bytes                      R·L ≤ 24    6 × 4, or 6 × 2 for few columns
    AVX2      16 registers of 32 bytes, so a line takes 2   R·L ≤ 6     6 × 1
    NEON      32 registers of 16 bytes, so a line takes 4   R·L ≤ 6     6 × 1

Few rows waste little where the outputs are no multiple of them: 41 take 7 tiles of 6, but 4 of 12 would hold 48.

The number of registers must be known when the code is compiled, so the text of the kernel is generated (`_text`), with
one name for each register. R and L are passed as the lengths of two tuples, which are part of Numba's type.

Role: loops.

References
----------
Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34(3), 2008.
"""

import numpy as np

from atrous.jit.generated import generated, indented
from atrous.jit.lanes import LINE_BYTES, add_scaled, has_wide_registers, load_line, repeat_line, store
from atrous.jit.numba_or_not import overload

# Rows of the tile for each number of lines.
WIDE = {4: 6, 2: 6}
NARROW = {1: 6}


TILES = WIDE if has_wide_registers() else NARROW


def tile_for(columns, dtype):
    """Return (rows, lines, width) of the tile for a product of so many columns: the one that pads them least."""
    line = LINE_BYTES // np.dtype(dtype).itemsize
    needed = -(-columns // line)
    lines = min(TILES, key=lambda lines: (-(-needed // lines) * lines, -lines))
    return (0,) * TILES[lines], (0,) * lines, lines * line


def multiply_tile(rows, lines, a, at_a, a_row, a_step, b, at_b, b_step, c, at_c, c_row, depth, first, last, add):
    """Add a product to a tile of c, or with add=False write it there.

        c[i, j] += Σ_k a[i, k] · b[k, j]        for rows first ≤ i < last; the others are not written

    Element a[i, k] is at ``at_a + i·a_row + k·a_step`` of the flat array a; line k of b starts at ``at_b + k·b_step``;
    row i of c starts at ``at_c + i·c_row``. All are counted in elements. Rows that are not written are still read.
    """
    line = LINE_BYTES // c.itemsize
    written, columns = np.arange(first, last), np.arange(len(lines) * line)
    flat = int(at_c) + int(c_row) * written[:, None] + columns
    total = c[flat] if add else np.zeros(flat.shape, c.dtype)
    for k in range(int(depth)):
        weights = a[int(at_a) + int(a_row) * written + int(a_step) * k]
        total = total + weights[:, None] * b[int(at_b) + int(b_step) * k + columns]
    c[flat] = total


def _text(rows, lines, line):
    """Return the source of `multiply_tile` for one tile, with a name for each register."""
    tile = [(i, j) for i in range(rows) for j in range(lines)]
    start = [f"s{i}_{j} = load_line(c, at_c + uintp({i}) * c_row + uintp({j * line}))" for i, j in tile]
    zero = [f"s{i}_{j} = zero" for i, j in tile]
    step = [f"b{j} = load_line(b, at_b + uintp({j * line}))" for j in range(lines)]
    for i in range(rows):
        step += [f"w = a[at_a + uintp({i}) * a_row]"]
        step += [f"s{i}_{j} = add_scaled(s{i}_{j}, w, b{j})" for j in range(lines)]
    step += ["at_a += a_step", "at_b += b_step"]
    body = ["zero = repeat_line(c.dtype.type(0))", "if add:", *indented(start), "else:", *indented(zero)]
    body += ["for k in range(depth):", *indented(step)]
    for i in range(rows):
        writes = [f"store(c, at_c + uintp({i}) * c_row + uintp({j * line}), s{i}_{j})" for j in range(lines)]
        body += [f"if first <= {i} < last:", *indented(writes)]
    names = "rows, lines, a, at_a, a_row, a_step, b, at_b, b_step, c, at_c, c_row, depth, first, last, add"
    return "\n".join([f"def kernel({names}):", *indented(body)])


@overload(multiply_tile)
def _typed(rows, lines, a, at_a, a_row, a_step, b, at_b, b_step, c, at_c, c_row, depth, first, last, add):
    text = _text(len(rows), len(lines), 8 * LINE_BYTES // c.dtype.bitwidth)
    return generated(text, load_line, store, repeat_line, add_scaled)
