"""Gradient checks: test whether a hand-written backward pass is the derivative of its forward pass.

The check draws a random upstream gradient dy, takes the loss φ = Σ dy·y, and compares ∂φ/∂input from the backward pass
with the difference quotient (φ(x + h) − φ(x − h)) / 2h, entry by entry. Linear maps have a sharper test that needs no
step: an operator and its adjoint satisfy ⟨A x, y⟩ = ⟨x, Aᵀ y⟩ up to rounding (`adjoint_error`).

A function that returns a loss and its gradients, (loss, grads), is checked without a backward pass:
`assert_gradients(loss_and_grads, inputs)`. There φ is the loss itself. The gradients are in the order of the inputs, or
in a dictionary; a dictionary of parameters is passed to the function as one argument.

Modules: `checker` (start here), `pair`, `differences`, `hints`, `report`, `html`. This folder needs only NumPy.

References
----------
Stanford CS231n, course notes, "Gradient checks"; Griewank and Walther, Evaluating Derivatives, 2nd ed., 2008; Squire
and Trapp, SIAM Review 40(1), 1998 (complex step); Ridders, Advances in Engineering Software 4(2), 1982.
"""

from atrous.gradients.checker import adjoint_error, assert_gradients, gradcheck
from atrous.gradients.report import GradcheckReport, InputReport

__all__ = ["GradcheckReport", "InputReport", "adjoint_error", "assert_gradients", "gradcheck"]
