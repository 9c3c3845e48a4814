"""The picture language of all figures: three colours with fixed meanings, one accent, greys, and type that can be read.

Blue is what goes in, orange is the filter and its taps, green is what comes out, purple is what is wrong or missing;
holes and zeros are grey. Methods of convolution are none of these and have looks of their own, `METHODS`. The hues
follow Okabe and Ito and stay apart for colour-blind readers; meaning never hangs on colour alone. Figures are drawn
7 inches wide, no letter below 9 points, and shown 1000 pixels wide, where 9 points are 13. They belong to nobody:
neither pyplot nor the user's backend is touched. The first sentence of a figure's docstring is its text for readers who
cannot see it.
"""

import base64
import io
import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from html import escape
from pathlib import Path

import matplotlib
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure

INPUT, TAPS, OUTPUT, WRONG = "#0072B2", "#E69F00", "#009E73", "#AA3377"
INK, GREY, HOLE, PAPER = "#222222", "#767676", "#DEDEDE", "#FFFFFF"
# Letters are thin, so that the lighter hues need a darker ink to be read.
_INKS = {TAPS: "#946200", OUTPUT: "#00765A"}

# (colour, marker) of each method of convolution, and of a peer.
BROWN, INDIGO = "#8C510A", "#4B3F9E"
METHODS = {
    "im2col": (INK, "o"), "interlace": (BROWN, "s"), "shift": (GREY, "^"), "direct": (GREY, "v"),
    "implicit_gemm": (INDIGO, "D"), "winograd": (INDIGO, "P"), "torch": (GREY, "X"),
}  # fmt: skip

WIDTH = 7.0
DPI = 144
SHOWN = 1000
MOST_SVG = 300_000

STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "image.interpolation": "nearest",
    "figure.dpi": DPI,
    "svg.fonttype": "path",
    "svg.hashsalt": "atrous",
}


def ink(color):
    """Return the colour in which letters about `color` are set."""
    return _INKS.get(color, color)


def tint(color, strength):
    """Return `color` mixed with white: strength 1 is the colour itself, 0 is white."""
    return to_hex([1 - strength * (1 - part) for part in to_rgb(color)])


def ramp(color):
    """Return a colour map from white to `color` and on towards black."""
    dark = to_hex([0.35 * part for part in to_rgb(color)])
    return LinearSegmentedColormap.from_list("ramp", [PAPER, tint(color, 0.5), color, dark])


# Signed responses: white is zero, green positive, purple negative.
SIGNED = matplotlib.colormaps["PRGn"]


@contextmanager
def styled_context():
    """Draw with Matplotlib's defaults and STYLE, whatever the user has set; all settings come back afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def styled(function):
    """Decorate a figure function: it draws in `styled_context`, and its figure's label says what it shows."""

    @wraps(function)
    def draw(*args, **kwargs):
        with styled_context():
            fig = function(*args, **kwargs)
        fig.set_label(told(function))
        return fig

    return draw


def told(function):
    """Return the first sentence of a figure function's docstring, without its "Draw"."""
    words = " ".join((function.__doc__ or "").partition("\n\n")[0].split()).removeprefix("Draw ")
    return words[:1].upper() + words[1:]


def canvas(height, width=WIDTH):
    """Return a figure and an axes without frame that covers it, one unit an inch, (0, 0) at the lower left."""
    fig = Figure(figsize=(width, height))
    ax = fig.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.set_axis_off()
    return fig, ax


def image_bytes(fig, kind="png", *, dpi=DPI):
    """Return the figure as PNG, SVG or PDF: the same figure gives the same bytes, with no date and no version."""
    absent = {"png": ["Software"], "svg": ["Date", "Creator"], "pdf": ["CreationDate", "Creator", "Producer"]}
    buffer = io.BytesIO()
    with styled_context():
        fig.savefig(buffer, format=kind, dpi=dpi, metadata=dict.fromkeys(absent.get(kind, ())) or None)
    return buffer.getvalue()


def save(fig, path, *, dpi=DPI):
    """Write the figure to `path`, whose suffix names the format, and return the path."""
    path = Path(path)
    path.write_bytes(image_bytes(fig, path.suffix.lstrip(".").lower() or "png", dpi=dpi))
    return path


@dataclass(frozen=True)
class Shown:
    """A figure for display in a notebook: PNG, SVG as well if it is a drawing, and what it shows in words."""

    words: str
    png: bytes
    svg: str

    def __repr__(self):
        return self.words

    def _repr_mimebundle_(self, **_):
        found = {"text/plain": self.words, "image/png": base64.b64encode(self.png).decode()}
        if self.svg:
            found["image/svg+xml"] = self.svg
        return found, {"image/png": {"width": SHOWN, "alt": self.words}}


def show(fig):
    """Return the figure for display in a notebook, 1000 pixels wide where there is room.

    A drawing of at most 300 kB is shown as SVG; its PNG stands in where a page does not trust SVG.
    """
    from matplotlib.image import AxesImage

    svg = "" if fig.findobj(AxesImage) else image_bytes(fig, "svg").decode()
    words = fig.get_label()
    if 0 < len(svg) <= MOST_SVG:
        return Shown(words, _in_few_colours(image_bytes(fig, dpi=100)), wide(svg, words))
    return Shown(words, image_bytes(fig), "")


def _in_few_colours(png):
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def wide(svg, words):
    """Return SVG text that is 1000 pixels wide or as wide as its page, with `words` for readers who cannot see it."""
    start = svg.index("<svg")
    head, rest = svg[start:].split(">", 1)
    across, down = map(float, re.search(r'viewBox="0 0 (\S+) (\S+)"', head).groups())
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    size = f'width="{SHOWN}" height="{SHOWN * down / across:.0f}" style="max-width: 100%; height: auto"'
    # The roles that artists carry must not become ids of the page.
    rest = re.sub(r'<g id="[^"]*"', "<g", rest)
    return f'{head} {size} role="img" aria-label="{escape(words)}">{rest}'


def find(fig, role):
    """Return the artists of a figure that were drawn in this role, in the order in which they were drawn."""
    return [artist for artist in fig.findobj(include_self=False) if artist.get_gid() == role]
