"""The picture language of all figures: three colours with fixed meanings, one accent, greys, and type that can be read.

Blue is what goes in, orange is the filter and its taps, green is what comes out, purple is what is wrong or missing;
holes and zeros are grey. The hues follow Okabe and Ito and stay apart for colour-blind readers; meaning never hangs on
colour alone. Figures are drawn for a width of 7 inches, no letter below 9 points, and belong to nobody: neither pyplot
nor the user's backend is touched.
"""

import io
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

import matplotlib
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure

INPUT, TAPS, OUTPUT, WRONG = "#0072B2", "#E69F00", "#009E73", "#AA3377"
INK, GREY, HOLE, PAPER = "#222222", "#767676", "#DEDEDE", "#FFFFFF"
# Letters are thin, so that the lighter hues need a darker ink to be read.
_INKS = {TAPS: "#946200", OUTPUT: "#00765A"}

WIDTH = 7.0
DPI = 144

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
    """Decorate a figure function so that it draws in `styled_context`."""

    @wraps(function)
    def draw(*args, **kwargs):
        with styled_context():
            return function(*args, **kwargs)

    return draw


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


def show(fig, *, most=130_000):
    """Return the figure for display in a notebook, as SVG or PNG, whichever is smaller.

    A PNG of more than `most` bytes, that is one with photographs, is drawn coarser.
    """
    from IPython.display import SVG, Image

    svg = image_bytes(fig, "svg")
    for dpi in (DPI, 120, 108, 96):
        png = _smoothed(image_bytes(fig, "png", dpi=dpi))
        if len(png) <= most:
            break
    if len(svg) <= 1.2 * len(png):  # a PNG is stored as text, four characters for three bytes
        return SVG(svg.decode())
    return Image(png, format="png", width=round(96 * fig.get_figwidth()))


def show_animation(gif):
    """Return an animation for display in a notebook, at one and a half times its size."""
    from IPython.display import Image
    from PIL import Image as Picture

    with Picture.open(io.BytesIO(gif)) as picture:
        return Image(gif, format="gif", width=picture.width * 3 // 2)


def _smoothed(png):
    """Return a PNG with 64 levels a colour, which no eye tells from 256, and with a palette where that suffices."""
    from PIL import Image, ImageOps

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        few = ImageOps.posterize(picture.convert("RGB"), 6).point(lambda level: level | level >> 6)
    if few.getcolors(256):
        few = few.quantize(256, dither=Image.Dither.NONE)
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def find(fig, role):
    """Return the artists of a figure that were drawn in this role, in the order in which they were drawn."""
    return [artist for artist in fig.findobj(include_self=False) if artist.get_gid() == role]
