"""Results of a gradient check: one report for each input and one for all, as text, JSON and HTML."""

from dataclasses import asdict, dataclass, field

import numpy as np


@dataclass(frozen=True)
class InputReport:
    """The result of the check for one input."""

    name: str
    shape: tuple
    ok: bool
    checked: int
    failed: int
    kinks: int
    max_abs_error: float
    max_rel_error: float
    worst_index: tuple | None
    analytic: float | None
    numeric: float | None
    steps: tuple = ()
    hint_kind: str = ""
    hint: str = ""
    errors: np.ndarray | None = field(default=None, repr=False, compare=False)
    notes: tuple = ()
    """What is odd though the gradient is right: no effect, or units that are dead."""

    def __str__(self):
        verdict = "ok  " if self.ok else "FAIL"
        line = (
            f"{verdict} {self.name:<6} {self.shape!s:<18} largest error {self.max_abs_error:.1e} absolute, "
            f"{self.max_rel_error:.1e} relative; {self.checked} checked"
        )
        if self.kinks:
            line += f", {self.kinks} at a kink"
        if self.ok or self.worst_index is None:
            return line if self.ok or not self.hint else f"{line}\n       {self.hint}"
        at = ", ".join(map(str, self.worst_index))
        analytic = self.analytic + 0.0  # no minus before a zero
        line += f", {self.failed} wrong\n       worst at [{at}]: analytic {analytic:.10g}, numeric {self.numeric:.10g}"
        if self.steps:
            line += "\n       numeric by step: " + ", ".join(f"{h:.0e} → {value:.10g}" for h, value in self.steps)
        return line + (f"\n       hint: {self.hint}" if self.hint else "")


@dataclass(frozen=True)
class GradcheckReport:
    """The result of a gradient check, true if it passed. Print it, or let a notebook display it."""

    ok: bool
    inputs: tuple
    problems: tuple
    mode: str
    method: str
    eps: float
    rtol: float
    atol: float
    seed: object
    notes: tuple = ()
    """What is odd though the gradients are right; see `unused` of `gradcheck`."""

    def __bool__(self):
        return self.ok

    def __str__(self):
        lines = [f"gradient check: {'passed' if self.ok else 'FAILED'} ({self.mode}, {self.method} differences)"]
        lines += [f"  {line}" for result in self.inputs for line in str(result).splitlines()]
        lines += [f"  problem: {problem}" for problem in self.problems]
        lines += [f"  note: {note}" for note in self.notes]
        if not self.ok:
            lines.append(
                f"  tolerance |a − n| ≤ {self.rtol:g}·max(|a|, |n|) + {self.atol:g}·scale + noise; rng={self.seed!r}"
            )
        return "\n".join(lines)

    def raise_if_failed(self):
        """Raise AssertionError with the whole report unless the check passed; return the report."""
        if not self.ok:
            raise AssertionError(str(self))
        return self

    def to_dict(self):
        """Return the report as plain Python values, ready for JSON."""
        found = asdict(self)
        for result in found["inputs"]:
            del result["errors"]
        found["seed"] = self.seed if isinstance(self.seed, int) else repr(self.seed)
        return found

    def _repr_html_(self):
        from atrous.gradients.html import report_html

        return report_html(self)
