"""Gradient checks for everybody: is a hand-written backward pass the derivative of its forward pass.

The check draws a random upstream gradient dy, takes the loss φ = Σ dy·y, and compares what the backward pass says about
∂φ/∂input with the difference quotient (φ(x + h) − φ(x − h)) / 2h, entry by entry. Linear maps have a sharper test
without any step: an operator and its adjoint satisfy ⟨A x, y⟩ = ⟨x, Aᵀ y⟩ to rounding (`adjoint_error`).

`checker` (start here), `pair`, `differences`, `hints`, `report`, `html`. NumPy is all that this folder needs.

References
----------
Stanford CS231n, course notes, "Gradient checks"; Griewank and Walther, Evaluating Derivatives, 2nd ed., 2008; Squire
and Trapp, SIAM Review 40(1), 1998 (complex step); Ridders, Advances in Engineering Software 4(2), 1982.
"""

from atrous.gradients.checker import adjoint_error, assert_gradients, gradcheck
from atrous.gradients.report import GradcheckReport, InputReport

__all__ = ["GradcheckReport", "InputReport", "adjoint_error", "assert_gradients", "gradcheck"]
