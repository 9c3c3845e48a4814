"""One line of progress on standard error: rewritten in place on a terminal, printed every few seconds elsewhere."""

import sys
import time

PAUSE = 5.0  # seconds between lines where the output is not a terminal


class ProgressLine:
    """Call it with (done, total, label); close it to clear the line."""

    def __init__(self, name, stream=None):
        self.name, self.stream = name, stream or sys.stderr
        self.live = bool(self.stream and getattr(self.stream, "isatty", lambda: False)())
        self.width, self.last = 0, float("-inf")

    def __call__(self, done, total, label=""):
        """Show that `done` of `total` steps are finished and what comes next."""
        if self.stream is None:
            return
        text = f"{self.name}: {done}/{total} {label}"
        now = time.monotonic()
        if self.live:
            self.stream.write("\r" + text.ljust(self.width))
            self.width = len(text)
        elif now - self.last >= PAUSE:
            self.stream.write(text + "\n")
            self.last = now
        self.stream.flush()

    def close(self):
        """Wipe the line on a terminal."""
        if self.live and self.width:
            self.stream.write("\r" + " " * self.width + "\r")
            self.stream.flush()
