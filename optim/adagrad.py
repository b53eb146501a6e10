"""AdaGrad: step sizes from the sum of squares so far."""

from __future__ import annotations

from typing import Any, ClassVar

from minigrad.kernels import optimizers as kernels
from minigrad.optim import hyper
from minigrad.optim.arena import Block
from minigrad.optim.optimizer import Group, Optimizer, sign

__all__ = ["AdaGrad", "Adagrad"]


class AdaGrad(Optimizer):
    """AdaGrad: each element's step is divided by the root of the sum of its squared gradients so far.

        d_t = ∇L(θ_t) + λ θ_t
        g_{t+1} = g_t + d_t²
        θ_{t+1} = θ_t - α / (1 + t η) · d_t / √(g_{t+1} + ε)         t = 0, 1, ...

    With `eps_in_sqrt=False`, which is PyTorch's form, the denominator is √g_{t+1} + ε.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
        Left out, for `update(params, grads)` on numpy arrays.
    lr : float or schedule
        α.
    lr_decay : float
        η, which lets the rate itself fall.
    weight_decay : float
        λ, an L2 penalty.
    initial_accumulator_value : float
        g_0.
    eps : float
        ε.
    maximize : bool
    eps_in_sqrt : bool
        True adds ε inside the root, as the course module does.
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Duchi, Hazan and Singer, Adaptive subgradient methods for online learning, JMLR 12, 2011.
    https://docs.pytorch.org/docs/stable/generated/torch.optim.Adagrad.html

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([1.0])
    >>> optimizer = optim.AdaGrad(lr=0.3)  # steps of 0.3 / √1, 0.3 / √2, 0.3 / √3
    >>> for _ in range(3):
    ...     optimizer.update([w], [np.array([1.0])])
    ...     print(w.round(6))
    [0.7]
    [0.487868]
    [0.314663]
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "lr_decay": hyper.nonnegative,
        "weight_decay": hyper.nonnegative,
        "initial_accumulator_value": hyper.nonnegative,
        "eps": hyper.nonnegative,
        "maximize": hyper.flag,
        "eps_in_sqrt": hyper.flag,
    }
    numbers: ClassVar = ("step",)
    arrays: ClassVar = ("sum",)

    def __init__(
        self, params: Any = None, lr: Any = 1e-2, lr_decay: float = 0.0, weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0, eps: float = 1e-10, *, maximize: bool = False,
        eps_in_sqrt: bool = True, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr=lr, lr_decay=lr_decay, weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value, eps=eps, maximize=maximize, eps_in_sqrt=eps_in_sqrt,
            **options,
        )  # fmt: skip

    def _update(self, block: Block, group: Group) -> None:
        t = block.count()
        alpha = float(group["lr"]) / (1.0 + (t - 1) * group["lr_decay"])
        inner, outer = (group["eps"], 0.0) if group["eps_in_sqrt"] else (0.0, group["eps"])
        total = block.array("sum", group["initial_accumulator_value"])
        block.run(kernels.adagrad, (total,), (sign(group), group["weight_decay"], alpha, inner, outer))


Adagrad = AdaGrad  # PyTorch's spelling
