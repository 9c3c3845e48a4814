"""A filter that slides over a map, to be stepped through in a notebook: rate, outputs one by one, play and pause."""

import json
from html import escape

from atrous.errors import ParameterError
from atrous.examples.convolution import tap_offsets
from atrous.figures.style import GREY, HOLE, INK, INPUT, OUTPUT, PAPER, TAPS, ink, tint

SIDE, MARGIN, HEAD = 22, 14, 34


def moving_taps(rates=(1, 2, 3, 4), size=5, *, rate=2, output=7):
    """Return a 3 × 3 filter on a padded map of size × size as a web page's part, for display in a notebook.

    Left the input, blue, in the grey zeros that padding adds; nine orange taps stand on the samples that one output
    reads. Right the outputs, green once computed. Buttons step through them, play and pause; another chooses the rate.
    Without scripts, as on a page that only shows stored notebooks, the drawing stands still.

    Parameters
    ----------
    rates : sequence of int
        The rates to choose from.
    size : int
        Samples a side of the input, and outputs a side.
    rate, output : int
        What is drawn first: one of `rates`, and an output counted by rows.

    Returns
    -------
    IPython.display.HTML
        An SVG drawing and some twenty lines of script, with no other files.

    Raises
    ------
    ParameterError
        `rate` is none of `rates`, or there is no such output.
    """
    from IPython.display import HTML

    if rate not in rates or not 0 <= output < size * size:
        raise ParameterError(
            f"moving_taps: rate must be one of {tuple(rates)} and output from 0 to {size * size - 1}, got rate {rate} "
            f"and output {output}."
        )
    zeros = max(rates)
    across = size + 2 * zeros
    right = MARGIN + SIDE * (across + 2)
    wide, tall = right + SIDE * size + MARGIN, HEAD + SIDE * across + MARGIN

    def square(x, y, color, more=""):
        return f'<rect x="{x}" y="{y}" width="{SIDE - 2}" height="{SIDE - 2}" fill="{color}"{more}/>'

    def at(i, j):
        return MARGIN + SIDE * (zeros + j), HEAD + SIDE * (zeros + i)

    def word(x, y, text, color, more=""):
        return f'<text x="{x}" y="{y}" fill="{ink(color)}"{more}>{text}</text>'

    padding = "".join(
        f'<rect data-zeros="{r}" x="{at(-r, -r)[0] - 1}" y="{at(-r, -r)[1] - 1}" width="{SIDE * (size + 2 * r)}" '
        f'height="{SIDE * (size + 2 * r)}" fill="{tint(HOLE, 0.7)}"{"" if r == rate else hidden}/>'
        for r, hidden in ((r, ' visibility="hidden"') for r in rates)
    )
    samples = "".join(square(*at(i, j), tint(INPUT, 0.75)) for i in range(size) for j in range(size))
    start = divmod(output, size)
    taps = "".join(
        f'<g data-rate="{r}" transform="translate({SIDE * start[1]} {SIDE * start[0]})"{"" if r == rate else hidden}>'
        + "".join(
            f'<circle cx="{at(i, j)[0] + SIDE / 2 - 1}" cy="{at(i, j)[1] + SIDE / 2 - 1}" r="{0.32 * SIDE}" '
            f'fill="{TAPS}" stroke="{INK}"/>'
            for i, j in tap_offsets(r).tolist()
        )
        + "</g>"
        for r, hidden in ((r, ' visibility="hidden"') for r in rates)
    )
    shades = {"now": OUTPUT, "done": tint(OUTPUT, 0.45), "open": tint(HOLE, 0.7)}
    outputs = "".join(
        square(
            right + SIDE * (o % size), HEAD + SIDE * (zeros + o // size),
            shades["done" if o < output else "now" if o == output else "open"], f' data-output="{o}"',
        )
        for o in range(size * size)
    )  # fmt: skip
    words = (
        word(MARGIN, 22, "input", INPUT)
        + word(MARGIN + 60, 22, f"9 taps at rate {rate}", TAPS, ' data-words="taps"')
        + word(right, HEAD + SIDE * zeros - 10, "output", OUTPUT)
        + word(right, HEAD + SIDE * (zeros + size) + 20, f"{output + 1} of {size * size}", GREY, ' data-words="count"')
    )
    what = (
        f"A 3 by 3 filter slides over a map of {size} by {size} samples at rate {rate}; each output reads nine samples."
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}" width="{round(1.4 * wide)}" '
        f'style="max-width: 100%; height: auto" role="img" aria-label="{escape(what)}" '
        f'font-family="DejaVu Sans, Verdana, sans-serif" font-size="15">'
        f'<rect width="100%" height="100%" fill="{PAPER}"/>{padding}{samples}{taps}{outputs}{words}</svg>'
    )
    values = {"size": size, "side": SIDE, "rates": list(rates), "rate": rate, "output": output, "shades": shades}
    return HTML(f'<div class="atrous-taps">{svg}</div><script>{_SCRIPT % json.dumps(values)}</script>')


_SCRIPT = """(() => {
  const set = %s, box = document.currentScript.previousElementSibling, find = q => box.querySelectorAll(q);
  let {rate, output} = set, timer = null;
  const draw = () => {
    const move = `translate(${set.side * (output %% set.size)} ${set.side * Math.floor(output / set.size)})`;
    for (const g of find("[data-rate], [data-zeros]")) {
      g.setAttribute("visibility", (g.dataset.rate || g.dataset.zeros) == rate ? "visible" : "hidden");
      if (g.dataset.rate) g.setAttribute("transform", move);
    }
    for (const o of find("[data-output]")) {
      const behind = o.dataset.output - output;
      o.setAttribute("fill", set.shades[behind < 0 ? "done" : behind > 0 ? "open" : "now"]);
    }
    find("[data-words=taps]")[0].textContent = `9 taps at rate ${rate}`;
    find("[data-words=count]")[0].textContent = `${output + 1} of ${set.size ** 2}`;
  };
  const step = by => { output = (output + by + set.size ** 2) %% set.size ** 2; draw(); };
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "▶ play"; };
  const row = document.createElement("div");
  const button = (words, act) => {
    const made = document.createElement("button");
    made.textContent = words; made.style.margin = "4px 6px 0 0"; made.onclick = act; row.append(made); return made;
  };
  button("◀ step", () => { stop(); step(-1); });
  button("step ▶", () => { stop(); step(1); });
  const play = button("▶ play", () => {
    if (timer) return stop();
    timer = setInterval(() => box.isConnected ? step(1) : stop(), 400); play.textContent = "❚❚ pause";
  });
  for (const r of set.rates) button(`rate ${r}`, () => { rate = r; draw(); });
  box.append(row);
})();"""
