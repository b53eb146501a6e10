"""Muon: momentum whose matrix is made orthogonal."""

from __future__ import annotations

from math import sqrt
from typing import Any, ClassVar

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.optim import hyper
from minigrad.optim.arena import Block
from minigrad.optim.optimizer import Group, Optimizer, sign

__all__ = ["Muon", "orthogonalize"]


def orthogonalize(
    g: np.ndarray,
    coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
    steps: int = 5,
    eps: float = 1e-7,
) -> np.ndarray:
    """Move all singular values of a matrix towards 1, by Newton-Schulz iterations.

        X_0 = G / max(‖G‖_F, ε)
        X_{k+1} = a X_k + (b A + c A²) X_k,   A = X_k X_kᵀ

    With the default coefficients, which are chosen for speed, five steps end with singular values around 0.7 to 1.2.

    Parameters
    ----------
    g : array (n, m)
    coefficients : (float, float, float)
        a, b and c.
    steps : int
    eps : float
        ε.

    Returns
    -------
    array (n, m), of the dtype of `g`

    References
    ----------
    https://kellerjordan.github.io/posts/muon/

    Examples
    --------
    >>> import numpy as np
    >>> g = np.random.default_rng(0).normal(size=(3, 5))
    >>> sizes = np.linalg.svd(orthogonalize(g), compute_uv=False)
    >>> bool(0.6 < sizes.min()), bool(sizes.max() < 1.3)
    (True, True)
    """
    a, b, c = coefficients
    x = g.T if g.shape[0] > g.shape[1] else g  # the smaller side makes the smaller product
    x = x / max(sqrt(np.sum(np.square(x, dtype=np.float64))), eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.T if g.shape[0] > g.shape[1] else x


class Muon(Optimizer):
    """Momentum, orthogonalised by Newton-Schulz iterations: for the matrices of hidden layers.

        B_{t+1} = μ B_t + (1 - μ) G_t
        M = (1 - μ) G_t + μ B_{t+1}  with Nesterov's momentum, else B_{t+1}
        θ_{t+1} = (1 - α λ) θ_t - α s · orthogonalize(M)

    The factor s is √max(1, n/m) for a matrix (n, m), or 0.2 √max(n, m) under 'match_rms_adamw', with which the rates
    and decays of AdamW can be kept. Embeddings, heads, biases and norms go to another optimizer: see `Composite`.

    The iterations run in the dtype of the parameter; PyTorch rounds them to bfloat16.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
        Matrices only.
    lr : float or schedule
        α.
    weight_decay : float
        λ, decoupled.
    momentum : float
        μ, in [0, 1).
    nesterov : bool
    ns_coefficients, eps, ns_steps
        The coefficients, ε and number of the Newton-Schulz iterations.
    adjust_lr_fn : {None, 'original', 'match_rms_adamw'}
        What s is; None is 'original'.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Jordan et al., Muon, https://kellerjordan.github.io/posts/muon/ (2024).
    Liu et al., Muon is scalable for LLM training, arXiv:2502.16982.
    https://docs.pytorch.org/docs/stable/generated/torch.optim.Muon.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> w = minigrad.zeros(2, 2, requires_grad=True)
    >>> optimizer = optim.Muon([w], lr=0.1, weight_decay=0.0, ns_coefficients=(1.5, -0.5, 0.0), ns_steps=30)
    >>> (w * minigrad.tensor([[5.0, 0.0], [0.0, 0.1]])).sum().backward()
    >>> optimizer.step()  # both directions move as far
    >>> w.data.round(4)
    array([[-0.1,  0. ],
           [ 0. , -0.1]], dtype=float32)
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "weight_decay": hyper.nonnegative,
        "momentum": hyper.fraction,
        "nesterov": hyper.flag,
        "ns_coefficients": hyper.numbers(3),
        "eps": hyper.nonnegative,
        "ns_steps": hyper.whole(1, 99),
        "adjust_lr_fn": hyper.one_of(None, "original", "match_rms_adamw"),
        "maximize": hyper.flag,
    }
    arrays: ClassVar = ("momentum_buffer",)
    elementwise: ClassVar = False

    def __init__(
        self, params: Any = None, lr: Any = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95,
        nesterov: bool = True, ns_coefficients: Any = (3.4445, -4.7750, 2.0315), eps: float = 1e-7, ns_steps: int = 5,
        adjust_lr_fn: str | None = None, *, maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov,
            ns_coefficients=ns_coefficients, eps=eps, ns_steps=ns_steps, adjust_lr_fn=adjust_lr_fn, maximize=maximize,
            **options,
        )  # fmt: skip

    def _check_parameter(self, p: Any, i: int) -> None:
        super()._check_parameter(p, i)
        if p.ndim != 2:
            raise ArgumentError(
                f"Muon: expected matrices, got shape {p.shape} at position {i}. Give other parameters to another "
                "optimizer, or all of them to Composite."
            )

    def _update(self, block: Block, group: Group) -> None:
        (cell,) = block.cells()
        if len(cell.tensor.shape) != 2:
            raise ShapeError(f"Muon: expected matrices, got shape {cell.tensor.shape}.")
        n, m = shape = cell.tensor.shape
        alpha, mu, s = float(group["lr"]), group["momentum"], sign(group)
        g, buffer = block.g.reshape(shape), block.array("momentum_buffer").reshape(shape)
        buffer += (1.0 - mu) * (s * g - buffer)
        direction = s * g + mu * (buffer - s * g) if group["nesterov"] else buffer
        direction = orthogonalize(direction, group["ns_coefficients"], group["ns_steps"], group["eps"])
        scale = 0.2 * sqrt(max(n, m)) if group["adjust_lr_fn"] == "match_rms_adamw" else sqrt(max(1.0, n / m))
        p = block.p.reshape(shape)
        p *= 1.0 - alpha * group["weight_decay"]
        p -= alpha * scale * direction
