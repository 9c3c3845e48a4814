"""A network as a picture: its blocks from left to right, branches side by side, sizes relative to the image below.

Blue is the image, orange are layers with weights, strong where a rate spreads their taps, green are the scores; what
has no weights is grey. The picture is SVG text, written here line by line; a notebook shows it, `save` keeps it.

Role: description to picture.
"""

from __future__ import annotations

from html import escape
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from atrous.compose.joins import Aside, Bridge, Chain, ImagePool, Parallel, Residual, Scales, ToInputSize
from atrous.compose.leaves import Conv, Pool, Tap
from atrous.compose.part import Field, Part, Trace, walk
from atrous.errors import ParameterError

# (fill, edge); the hues are those of the figures.
COLOURS = {
    "image": ("#CCE3F0", "#0072B2"),
    "layer": ("#FCF2DC", "#C99A2E"),
    "rate": ("#F3C766", "#946200"),
    "plain": ("#EFEFEF", "#767676"),
    "scores": ("#C4E8DD", "#00765A"),
}
INK, GREY, LINE = "#222222", "#5E5E5E", "#767676"
GAP, ROW, LETTER = 16, 13, 6.1


class Drawing(NamedTuple):
    """A picture as SVG text."""

    svg: str

    def _repr_svg_(self):
        return self.svg

    def __repr__(self):
        return f"<Drawing: SVG of {len(self.svg):,} characters>"

    def save(self, path):
        """Write the picture to a file that ends in .svg."""
        if Path(path).suffix.lower() != ".svg":
            raise ParameterError(f"save: a drawing is SVG, the file must end in .svg, got {str(path)!r}.")
        Path(path).write_text(self.svg, encoding="utf-8")


class Box(NamedTuple):
    """A rectangle with lines of text, the size of its result below, and the taps that lie within it."""

    lines: tuple[str, ...]
    colour: str
    below: str = ""
    taps: tuple[str, ...] = ()

    @property
    def width(self):
        """Room for the longest line."""
        return max(34, 12 + LETTER * max(map(len, self.lines)))

    @property
    def height(self):
        """Room for all lines."""
        return max(30, ROW * len(self.lines) + 8)


class Mark(NamedTuple):
    """A place between two boxes from which a side branch starts."""

    tap: str


class Fork(NamedTuple):
    """Rows side by side that begin together and are joined."""

    rows: tuple[tuple, ...]
    join: Box


class Skip(NamedTuple):
    """A trunk, and below it side branches from its taps to a common join."""

    trunk: tuple
    sides: tuple[tuple[str, tuple], ...]
    join: Box


def _taps(part):
    """Return the names of the taps within a part."""
    found = []
    walk(part, lambda p: found.append(p.name) if isinstance(p, Tap) else None)
    return tuple(found)


def _convs(part):
    """Return the convolutions within a part, in order."""
    found = []
    walk(part, lambda p: found.append(p) if isinstance(p, Conv) else None)
    return found


def _rates(part):
    """Return the rates of the 3×3 convolutions within a part, in order, runs of one rate written once."""
    return [rate for rate, _ in groupby(c.rate for c in _convs(part) if c.kernel > 1)]


def _rate_words(rates):
    return ("rate " + ", ".join(map(str, rates)),) if max(rates, default=1) > 1 else ()


def _scale(trace):
    """Return the size of a map relative to the image."""
    jump = trace.field.jump
    return f"1/{jump:.0f}" if jump > 1 else "1/1"


def _layers(members):
    """Return a line for each layer of a chain, equal ones counted."""
    words = []
    for part in members:
        if isinstance(part, Conv):
            stride = f" /{part.stride}" if part.stride > 1 else ""
            words.append((f"{part.kernel}×{part.kernel}, {part.f}", stride, f", rate {part.rate}" * (part.rate > 1)))
        elif isinstance(part, Pool):
            words.append((f"{part.kind} pool", f" /{part.stride}" if part.stride > 1 else "", ""))
    runs = [(word, len(list(run))) for word, run in groupby(words)]
    return tuple((f"{n} × " if n > 1 else "") + "".join(word) for word, n in runs)


def _block(parts, trace, name):
    """Return one box for parts that belong together, and the trace behind them."""
    whole = Chain(tuple(parts))
    after = whole.trace(trace)
    rates = _rates(whole)
    inner = parts[0].members if len(parts) == 1 and isinstance(parts[0], Chain) else parts
    units = sum(isinstance(p, Residual) for p in inner)
    if units or len(parts) > 1:
        word = "modules" if len(parts) > 1 else "units"
        lines = (name, f"{max(units, len(parts))} {word}", f"to {after.shape[0]}", *_rate_words(rates))
    else:
        lines = (name, *_layers(inner))
    return Box(lines, "rate" if max(rates, default=1) > 1 else "layer", _scale(after), _taps(whole)), after


def _conv(part, trace, then=None):
    """Return the box of a convolution, or of a depthwise one with the pointwise one behind it."""
    after = (then or part).trace(part.trace(trace) if then else trace)
    kind = f"{part.kernel}×{part.kernel}"
    lines = (f"separable {kind}" if then else kind) + f", {(then or part).f}"
    stride = (f"stride {part.stride}",) if part.stride > 1 else ()
    colour = "rate" if part.rate > 1 else "layer"
    return Box((lines, *_rate_words([part.rate]), *stride), colour, _scale(after)), after


def _family(part):
    """Return what names of modules have in common, "middle" of "middle 7", or None."""
    name = getattr(part, "name", "") if isinstance(part, (Residual, Chain)) else ""
    return name.split()[0] if " " in name and not name.startswith("rate") else None


def _members(members, trace):
    """Return what is drawn for the parts of a chain, and the trace behind them."""
    items, i = [], 0
    while i < len(members):
        part, family = members[i], _family(members[i])
        end = i + 1
        if family:
            while end < len(members) and _family(members[end]) == family:
                end += 1
            box, trace = _block(members[i:end], trace, family)
            found = (box,)
        elif isinstance(part, Conv) and part.groups > 1:
            while end < len(members) and not isinstance(members[end], Conv):
                end += 1
            box, trace = _conv(part, trace, members[end])
            found, end = (box,), end + 1
        else:
            found, trace = _items(part, trace)
        for item in found:
            last = items[-1] if items else None
            same = (
                isinstance(last, Box) and isinstance(item, Box) and last._replace(lines=()) == item._replace(lines=())
            )
            if same and last.lines[0].removeprefix("2 × ") == item.lines[0] and last.lines[1:] == item.lines[1:]:
                items[-1] = last._replace(lines=("2 × " + item.lines[0], *item.lines[1:]))
            else:
                items.append(item)
        i = end
    return tuple(items), trace


def _items(part: Part, trace: Trace):
    """Return what is drawn for a part, from left to right, and the trace behind it."""
    if isinstance(part, Chain) and part.name and not part.name.startswith("rate"):
        box, after = _block([part], trace, part.name)
        return (box,), after
    if isinstance(part, Chain):
        return _members(part.members, trace)
    if isinstance(part, Residual):
        box, after = _block([part], trace, part.name)
        return (box,), after
    if isinstance(part, Tap):
        return (Mark(part.name),), trace
    if isinstance(part, Conv):
        box, after = _conv(part, trace)
        return (box,), after
    after = part.trace(trace)
    if isinstance(part, Pool):
        stride = f"{part.kernel}×{part.kernel}" + (f" /{part.stride}" if part.stride > 1 else "")
        return (Box((f"{part.kind} pool", stride), "plain", _scale(after)),), after
    if isinstance(part, Parallel):
        rows = tuple(_items(branch, trace)[0] for branch in part.branches)
        return (Fork(rows, Box((part.join,), "plain", _scale(after))),), after
    if isinstance(part, ImagePool):
        return (Box((part.name, *_layers(part.body.members)), "layer", "one value"),), after
    if isinstance(part, Bridge):
        return (_skip(part, trace, after),), after
    if isinstance(part, Aside):
        return (), after
    if isinstance(part, Scales):
        sizes = Box(("image at", ", ".join(map(str, part.scales))), "image", "each")
        return (sizes, *_items(part.body, trace)[0], Box(("max",), "plain", _scale(after))), after
    if isinstance(part, ToInputSize):
        scores = Box(("bilinear", f"{after.shape[0]} scores"), "scores", _scale(after))
        return (*_items(part.body, trace)[0], scores), after
    return (), after


def _skip(part, trace, after):
    seen = dict.fromkeys(tap for tap, _ in part.sides)
    part.trunk.trace(trace, seen)
    sides = tuple((tap, _items(branch, seen[tap])[0]) for tap, branch in part.sides)
    words = ("enlarge,", "concat") if part.join == "concat" else (part.join,)
    # The latest tap comes first, so that no branch crosses the way of another.
    return Skip(_items(part.trunk, trace)[0], sides[::-1], Box(words, "plain", _scale(after)))


BELOW = 15


def _extent(items):
    """Return (width, height above the middle, height below) of a row; every item brings the gap before it."""
    width, up, down = 0.0, 0.0, 0.0
    for item in items:
        if isinstance(item, Mark):
            continue
        w, u, d = _size(item)
        width, up, down = width + GAP + w, max(up, u), max(down, d)
    return width, up, down


def _size(item):
    if isinstance(item, Box):
        return item.width, item.height / 2, item.height / 2 + (BELOW if item.below else 0)
    _, ju, jd = _size(item.join)
    if isinstance(item, Fork):
        rows = [_extent(row) for row in item.rows]
        high = sum(u + d for _, u, d in rows) + 6 * (len(rows) - 1)
        return max(w for w, _, _ in rows) + 2 * GAP + item.join.width, max(high / 2, ju), max(high / 2, jd)
    w, u, d = _extent(item.trunk)
    high = sum(sum(_extent(row)[1:]) + 8 for _, row in item.sides)
    return w - GAP + GAP + item.join.width, max(u, ju), max(d, jd) + high


def _path(route):
    return f'<path d="{route}" fill="none" stroke="{LINE}"/>'


def _curve(x1, y1, x2, y2):
    """Return a line from left to right that begins and ends level."""
    middle = (x1 + x2) / 2
    bend = f"H{x2:.1f}" if abs(y1 - y2) < 0.5 else f"C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    return _path(f"M{x1:.1f} {y1:.1f}{bend}")


def _box(x, y, box, out, at, width=None):
    """Append a box whose left edge is at x and whose middle is at the height y; return its right edge."""
    width, height = width or box.width, box.height
    fill, edge = COLOURS[box.colour]
    out.append(
        f'<rect x="{x:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height}" rx="4" '
        f'fill="{fill}" stroke="{edge}"/>'
    )
    for i, line in enumerate(box.lines):
        level = y + 4 + ROW * (i - (len(box.lines) - 1) / 2)
        out.append(_text(x + width / 2, level, line))
    if box.below:
        out.append(_text(x + width / 2, y + height / 2 + 12, box.below, color=GREY))
    at.update((tap, (x + width * 0.18, y + height / 2)) for tap in box.taps)
    return x + width


def _text(x, y, words, *, color=INK, anchor="middle", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}"{more}>{escape(words)}</text>'


def _draw(items, x, y, out, at, width=None):
    """Append a row that begins at (x, y) to `out`, places of taps to `at`; return the x behind it."""
    for item in items:
        if isinstance(item, Mark):
            at[item.tap] = (x + GAP / 3, y)
        elif isinstance(item, Box):
            out.append(_curve(x, y, x + GAP, y))
            x = _box(x + GAP, y, item, out, at, width)
        else:
            x = (_fork if isinstance(item, Fork) else _bridge)(item, x, y, out, at)
    return x


def _fork(item, x, y, out, at):
    extents = [_extent(row) for row in item.rows]
    wide = max(w for w, _, _ in extents)
    alike = wide - GAP if all(len(row) == 1 for row in item.rows) else None
    top = y - (sum(u + d for _, u, d in extents) + 6 * (len(extents) - 1)) / 2
    end = x + GAP + wide
    for row, (_, up, down) in zip(item.rows, extents, strict=True):
        middle = top + up
        out.append(_curve(x, y, x + GAP, middle))
        after = _draw(row, x + GAP, middle, out, at, alike)
        out += [_curve(after, middle, end, middle)] if after < end - 0.5 else []
        out.append(_curve(end, middle, end + GAP, y))
        top += up + down + 6
    return _box(end + GAP, y, item.join, out, at)


def _bridge(item, x, y, out, at):
    end = _draw(item.trunk, x, y, out, at)
    level = y + max(_extent(item.trunk)[2], _size(item.join)[2]) + 8
    out.append(_curve(end, y, end + GAP, y))
    join = end + GAP
    for tap, row in item.sides:
        width, up, down = _extent(row)
        level += up
        begin = join + item.join.width / 2 - width - GAP
        across, start = at[tap]
        out.append(_path(f"M{across:.1f} {start:.1f}V{level:.1f}H{begin:.1f}"))
        after = _draw(row, begin, level, out, at)
        out.append(_path(f"M{after:.1f} {level:.1f}H{join + item.join.width / 2:.1f}"))
        last, level = level, level + down + 8
    bottom = y + item.join.height / 2 + (BELOW if item.join.below else 0)
    out.append(_path(f"M{join + item.join.width / 2:.1f} {last:.1f}V{bottom:.1f}"))
    return _box(join, y, item.join, out, at)


def drawn(network) -> Drawing:
    """Return the picture of a Network."""
    begin = Trace((3, 513, 513), Field())
    items, end = _items(network.body, begin)
    image = Box(("image",), "image", "1/1")
    _, up, down = _extent((image, *items))
    out, y = [], up + 8
    at = {}
    x = _draw(items, _box(6, y, image, out, at), y, out, at)
    macs = sum(row.macs for row in end.rows)
    caption = (
        f"{network.name}: {network.parameter_count / 1e6:,.1f} million parameters, "
        f"{macs / 1e9:,.1f}·10⁹ multiply-adds at 513 × 513"
    )
    height = y + down + 44
    out.append(_text(8, height - 24, caption, anchor="start", more=' font-weight="bold"'))
    key = "Strong orange: taps spread by a rate. Fractions: size of the result relative to the image."
    out.append(_text(8, height - 8, key, color=GREY, anchor="start"))
    width = int(max(x, 8 + 1.15 * LETTER * len(caption))) + 8
    return Drawing(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" '
        f'height="{height:.0f}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="11">\n'
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(out) + "\n</svg>\n"
    )
