"""A network as a picture: its blocks from left to right, in as many rows as they need, branches side by side.

The image is blue, layers with weights are orange (strong orange if a rate spreads their taps), the scores are green,
and parts without weights are grey. Below each block stands the size of its result for an image of 513 × 513. The
picture is SVG text, written here line by line. Notebooks display it; `save` writes it.

Role: description to picture.
"""

from __future__ import annotations

from html import escape
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from atrous.compose.chain import Chain
from atrous.compose.crf_layer import CRFLayer
from atrous.compose.gate import Gate
from atrous.compose.image_pooling import ImagePooling
from atrous.compose.input_size import ToInputSize
from atrous.compose.leaves import Conv, Endpoint, Pool
from atrous.compose.multi_scale import MultiScale
from atrous.compose.parallel import Parallel
from atrous.compose.part import Part, walk
from atrous.compose.residual import Residual
from atrous.compose.skip_connections import SkipConnections
from atrous.errors import ParameterError

# (fill, edge) in the hues of the figures.
COLOURS = {
    "image": ("#CCE3F0", "#0072B2"),
    "layer": ("#FCF2DC", "#C99A2E"),
    "rate": ("#F3C766", "#946200"),
    "plain": ("#EFEFEF", "#767676"),
    "scores": ("#C4E8DD", "#00765A"),
    "after": ("#FFFFFF", "#00765A"),
}
INK, GREY, LINE = "#222222", "#5E5E5E", "#767676"
GAP, ROW, LETTER = 17, 13, 6.1
MARKER = (
    '<marker id="tip" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    f'<path d="M0 0.8L8 4L0 7.2z" fill="{LINE}"/></marker>'
)
TIP, DASHED = ' marker-end="url(#tip)"', ' stroke-dasharray="4 3"'
IMAGE = 513
# A row of this width is shown at 1.36 times its size: letters of 11 points.
MOST = 735


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
    """A rectangle with lines of text, the size of its result below it, and the endpoints inside it."""

    lines: tuple[str, ...]
    colour: str
    below: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()

    @property
    def width(self):
        """Room for the longest line."""
        return max(34, 9 + LETTER * max(map(len, self.lines)))

    @property
    def height(self):
        """Room for all lines."""
        return max(30, ROW * len(self.lines) + 8)


class Mark(NamedTuple):
    """A place between two boxes where a side branch starts."""

    endpoint: str


class Fork(NamedTuple):
    """Rows that begin together, run side by side and are joined."""

    rows: tuple[tuple, ...]
    join: Box


class Skip(NamedTuple):
    """A trunk, and below it side branches from its endpoints to a common join."""

    trunk: tuple
    sides: tuple[tuple[str, str, tuple], ...]
    """Of each side branch the endpoint's name, the size of what it carries, and its row."""
    join: Box


def _endpoints(part):
    """Return the names of the endpoints in a part."""
    found = []
    walk(part, lambda p: found.append(p.name) if isinstance(p, Endpoint) else None)
    return tuple(found)


def _rates(part):
    """Return the rates of the 3×3 convolutions in a part, in order; a run of equal rates counts once."""
    found = []
    walk(part, lambda p: found.append(p.rate) if isinstance(p, Conv) and p.kernel > 1 else None)
    return [rate for rate, _ in groupby(found)]


def _rate_words(rates):
    return ("rate " + ", ".join(map(str, rates)),) if max(rates, default=1) > 1 else ()


def _scale(value):
    """Return the size of a map relative to the image, and its samples a side, squared."""
    stride = value.field.stride
    return (f"1/{stride:.0f}" if stride > 1 else "1/1", f"{value.shape[1]}²")


def _layers(members):
    """Return one line of text for each layer of a chain; equal neighbours are counted."""
    words = []
    for part in members:
        if isinstance(part, Conv):
            stride = f" /{part.stride}" if part.stride > 1 else ""
            words.append((f"{part.kernel}×{part.kernel}, {part.f}", stride, f", rate {part.rate}" * (part.rate > 1)))
        elif isinstance(part, Pool):
            words.append((f"{part.kind} pool", f" /{part.stride}" if part.stride > 1 else "", ""))
    runs = [(word, len(list(run))) for word, run in groupby(words)]
    return tuple((f"{n} × " if n > 1 else "") + "".join(word) for word, n in runs)


def _block(parts, values, name):
    """Return one box for parts that belong together."""
    whole, after = Chain(tuple(parts)), values[parts[-1]]
    rates = _rates(whole)
    inner = parts[0].members if len(parts) == 1 and isinstance(parts[0], Chain) else parts
    units = sum(isinstance(p, Residual) or (isinstance(p, Chain) and bool(p.name)) for p in inner)
    if units or len(parts) > 1:
        count, word = max(units, len(parts)), "module" if len(parts) > 1 else "unit"
        lines = (name, f"{count} {word}{'s' * (count > 1)}", f"to {after.shape[0]}", *_rate_words(rates))
    else:
        lines = (name, *_layers(inner))
    return Box(lines, "rate" if max(rates, default=1) > 1 else "layer", _scale(after), _endpoints(whole))


def _conv(part, values, pointwise=None):
    """Return the box of a convolution, or of a depthwise and a pointwise one."""
    last = pointwise or part
    kind = f"{part.kernel}×{part.kernel}"
    lines = (*(("separable",) if pointwise else ()), f"{kind}, {last.f}")
    stride = (f"stride {part.stride}",) if part.stride > 1 else ()
    colour = "rate" if part.rate > 1 else "layer"
    return Box((*lines, *_rate_words([part.rate]), *stride), colour, _scale(values[last]))


def _family(part):
    """Return the part that names of modules share, such as "middle" in "middle 7", or None."""
    name = getattr(part, "name", "") if isinstance(part, (Residual, Chain)) else ""
    return name.split()[0] if " " in name and not name.startswith("rate") else None


def _members(members, values):
    """Return what is drawn for the parts of a chain."""
    items, i = [], 0
    while i < len(members):
        part, family = members[i], _family(members[i])
        end = i + 1
        if family:
            while end < len(members) and _family(members[end]) == family:
                end += 1
            found = (_block(members[i:end], values, family),)
        elif isinstance(part, Conv) and part.groups > 1:
            while end < len(members) and not isinstance(members[end], Conv):
                end += 1
            found, end = (_conv(part, values, members[end]),), end + 1
        else:
            found = _items(part, values)
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
    return tuple(items)


def _items(part: Part, values):
    """Return what is drawn for a part, from left to right; `values` has the shape of every part's result."""
    if isinstance(part, Residual) or (isinstance(part, Chain) and part.name and not part.name.startswith("rate")):
        return (_block([part], values, part.name),)
    if isinstance(part, Chain):
        return _members(part.members, values)
    if isinstance(part, Endpoint):
        return (Mark(part.name),)
    if isinstance(part, Conv):
        return (_conv(part, values),)
    if isinstance(part, Pool):
        stride = f"{part.kernel}×{part.kernel}" + (f" /{part.stride}" if part.stride > 1 else "")
        return (Box((f"{part.kind} pool", stride), "plain", _scale(values[part])),)
    if isinstance(part, Parallel):
        rows = tuple(_items(branch, values) for branch in part.branches)
        return (Fork(rows, Box((part.join,), "plain", _scale(values[part]))),)
    if isinstance(part, ImagePooling):
        return (Box((part.name, *_layers(part.body.members)), "layer", ("one value",)),)
    if isinstance(part, Gate):
        return (Box((part.name, *_layers(part.body.members), "times a gate"), "layer", _scale(values[part])),)
    if isinstance(part, SkipConnections):
        words = ("enlarge,", "concat") if part.join == "concat" else (part.join,)
        # The last endpoint comes first, so that no branch crosses another.
        sizes = {}
        walk(part.trunk, lambda p: sizes.update({p.name: _scale(values[p])}) if isinstance(p, Endpoint) else None)
        sides = tuple((name, ", ".join(sizes[name]), _items(branch, values)) for name, branch in part.sides)[::-1]
        return (Skip(_items(part.trunk, values), sides, Box(words, "plain", _scale(values[part]))),)
    if isinstance(part, MultiScale):
        sizes = Box(("image at", ", ".join(map(str, part.scales))), "image", ("each",))
        return (sizes, *_items(part.body, values), Box(("max",), "plain", _scale(values[part])))
    if isinstance(part, CRFLayer):
        steps = f"{part.start.iterations} steps"
        return (*_items(part.body, values), Box(("dense CRF", steps), "scores", ("with the", "image")))
    if isinstance(part, ToInputSize):
        after = values[part]
        return (*_items(part.body, values), Box(("bilinear", f"{after.shape[0]} scores"), "scores", _scale(after)))
    return ()


BELOW = 12


def _extent(items):
    """Return (width, height above the middle, height below) of a row; every item includes the gap before it."""
    width, up, down = 0.0, 0.0, 0.0
    for item in items:
        if isinstance(item, Mark):
            continue
        w, u, d = _size(item)
        width, up, down = width + GAP + w, max(up, u), max(down, d)
    return width, up, down


def _size(item):
    if isinstance(item, Box):
        return item.width, item.height / 2, item.height / 2 + BELOW * len(item.below) + 3
    _, ju, jd = _size(item.join)
    if isinstance(item, Fork):
        rows = [_extent(row) for row in item.rows]
        high = sum(u + d for _, u, d in rows) + 6 * (len(rows) - 1)
        return max(w for w, _, _ in rows) + 2 * GAP + item.join.width, max(high / 2, ju), max(high / 2, jd)
    w, u, d = _extent(item.trunk)
    high = sum(sum(_extent(row)[1:]) + 8 for *_, row in item.sides)
    return w - GAP + GAP + item.join.width, max(u, ju), max(d, jd) + high


def _path(route, tip=False):
    return f'<path d="{route}" fill="none" stroke="{LINE}"{TIP if tip else ""}/>'


def _curve(x1, y1, x2, y2, tip=False):
    """Return a curve from left to right with level ends, with an arrow's tip where it meets a box."""
    middle = (x1 + x2) / 2
    bend = f"H{x2:.1f}" if abs(y1 - y2) < 0.5 else f"C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    return _path(f"M{x1:.1f} {y1:.1f}{bend}", tip)


def _box(x, y, box, out, at, width=None):
    """Append a box with its left edge at x and its middle at height y; return its right edge."""
    width, height = width or box.width, box.height
    fill, edge = COLOURS[box.colour]
    out.append(
        f'<rect x="{x:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height}" rx="4" '
        f'fill="{fill}" stroke="{edge}"{DASHED if box.colour == "after" else ""}/>'
    )
    for i, line in enumerate(box.lines):
        level = y + 4 + ROW * (i - (len(box.lines) - 1) / 2)
        out.append(_text(x + width / 2, level, line))
    for i, line in enumerate(box.below):
        out.append(_text(x + width / 2, y + height / 2 + 12 + BELOW * i, line, color=GREY))
    at.update((name, (x + width * 0.18, y + height / 2)) for name in box.endpoints)
    return x + width


def _text(x, y, words, *, color=INK, anchor="middle", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}"{more}>{escape(words)}</text>'


def _draw(items, x, y, out, at, width=None):
    """Append a row that begins at (x, y) to `out`, places of endpoints to `at`; return the x after it."""
    for item in items:
        if isinstance(item, Mark):
            at[item.endpoint] = (x + GAP / 3, y)
        elif isinstance(item, Box):
            out.append(_curve(x, y, x + GAP, y, tip=True))
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
        out.append(_curve(end, middle, end + GAP, y, tip=True))
        top += up + down + 6
    return _box(end + GAP, y, item.join, out, at)


def _bridge(item, x, y, out, at):
    end = _draw(item.trunk, x, y, out, at)
    level = y + max(_extent(item.trunk)[2], _size(item.join)[2]) + 8
    out.append(_curve(end, y, end + GAP, y, tip=True))
    join = end + GAP
    for name, size, row in item.sides:
        width, up, down = _extent(row)
        level += up
        begin = join + item.join.width / 2 - width - GAP
        across, start = at[name]
        out.append(_path(f"M{across:.1f} {start:.1f}V{level:.1f}H{begin:.1f}"))
        out.append(_text(across + 6, level - 5, size, color=GREY, anchor="start"))
        after = _draw(row, begin, level, out, at)
        out.append(_path(f"M{after:.1f} {level:.1f}H{join + item.join.width / 2:.1f}"))
        last, level = level, level + down + 8
    bottom = y + item.join.height / 2 + BELOW * len(item.join.below) + 3
    out.append(_path(f"M{join + item.join.width / 2:.1f} {last:.1f}V{bottom:.1f}", tip=True))
    return _box(join, y, item.join, out, at)


def _rows(items):
    """Return the items in rows no wider than MOST, but for an item that is; the image never stands alone."""
    rows, room = [[]], 0.0
    for item in items:
        width = _extent((item,))[0]
        if rows[-1] and rows[-1] != [items[0]] and room + width > MOST:
            rows.append([])
            room = 2 * GAP
        rows[-1].append(item)
        room += width
    return rows


def drawn(network) -> Drawing:
    """Return the picture of a Network."""
    program, values = network.program((IMAGE, IMAGE)), {}
    for part, slot in program.results:
        values.setdefault(part, program.values[slot])
    items = (Box(("image",), "image", ("1/1", f"{IMAGE}²")), *_items(network.body, values))
    early = network.name.removeprefix("tiny_").startswith(("deeplabv1", "deeplabv2"))
    if early and not isinstance(network.body, CRFLayer):
        # No part of the network: the papers refine its scores with one.
        items = (*items, Box(("dense CRF,", "afterwards"), "after"))
    out, at, wide, x, y, level = [], {}, 0.0, 0.0, 8.0, 0.0
    for count, row in enumerate(_rows(items)):
        _, up, down = _extent(row)
        if count:
            turn = y + 4
            y += up + 18
            out.append(_path(f"M{x:.1f} {level:.1f}h{GAP / 2}V{turn:.1f}H{GAP / 2}V{y:.1f}H{GAP}"))
            x = _draw(row, GAP, y, out, at)
        else:
            y += up
            x = _draw(row[1:], _box(6, y, row[0], out, at), y, out, at)
        level, y = y, y + down
        wide = max(wide, x + GAP)
    macs = network.summary(IMAGE).macs
    caption = (
        f"{network.name}: {network.parameter_count / 1e6:,.1f} million parameters, "
        f"{macs / 1e9:,.1f}·10⁹ multiply-adds at {IMAGE} × {IMAGE}"
    )
    height = y + 44
    out.append(_text(8, height - 24, caption, anchor="start", more=' font-weight="bold"'))
    key = "Strong orange: taps spread by a rate. Below each block: the size of its result, relative and in samples."
    out.append(_text(8, height - 8, key, color=GREY, anchor="start"))
    width = int(max(wide, 8 + 1.15 * LETTER * len(caption), 8 + LETTER * len(key))) + 2
    return Drawing(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{1.36 * width:.0f}" '
        f'height="{1.36 * height:.0f}" style="max-width: 100%; height: auto" role="img" '
        f'aria-label="The blocks of {escape(caption)}" font-family="DejaVu Sans, Verdana, sans-serif" '
        'font-size="11.5">\n'
        f'<defs>{MARKER}</defs><rect width="100%" height="100%" fill="white"/>\n' + "\n".join(out) + "\n</svg>\n"
    )
