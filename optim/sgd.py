"""Gradient descent, with and without momentum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from minigrad.errors import ArgumentError
from minigrad.kernels import optimizers as kernels
from minigrad.optim import hyper
from minigrad.optim.arena import Block
from minigrad.optim.optimizer import Group, Optimizer
from minigrad.versions import mark_changed

__all__ = ["GD", "SGD", "Nesterov", "SGDMomentum"]


_MOMENTUM = {False: kernels.momentum, True: kernels.nesterov, "lookahead": kernels.nesterov_lookahead}


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

        g_t = ∇L(θ_t) + λ θ_t
        v_{t+1} = β v_t + (1 - τ) g_t            v_1 = g_0
        θ_{t+1} = θ_t - α v_{t+1}

    Without momentum, θ_{t+1} = θ_t - α g_t. Nesterov's momentum has two forms:

        nesterov='lookahead'    v_{t+1} = β v_t + ∇L(θ_t - α β v_t),   θ_{t+1} = θ_t - α v_{t+1}
        nesterov=True           v_{t+1} = β v_t + g_t,                 θ_{t+1} = θ_t - α (g_t + β v_{t+1})

    The first is the method itself: `step(closure)` calls the closure with the parameters moved to where the momentum
    alone would take them. The second is PyTorch's rewriting in the variable φ_t = θ_t - α β v_t, which needs no
    closure; for a constant α both make the same steps, and its parameters are the look-ahead points of the first.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
        Left out, for `update(params, grads)` on numpy arrays.
    lr : float or schedule
        α. By default 1e-3, as in PyTorch; without `params` 0.01, as in the course module.
    momentum : float
        β, in [0, 1).
    dampening : float
        τ, in [0, 1]. It does not apply to the first gradient.
    weight_decay : float
        λ, an L2 penalty.
    nesterov : bool or 'lookahead'
        Needs momentum, and no dampening.
    maximize : bool
        Climb the gradient instead.
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013.
    https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> w = minigrad.tensor([4.0], requires_grad=True)
    >>> optimizer = optim.SGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([2.], requires_grad=True)
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "momentum": hyper.fraction,
        "dampening": hyper.between(0.0, 1.0),
        "weight_decay": hyper.nonnegative,
        "nesterov": hyper.one_of(False, True, "lookahead"),
        "maximize": hyper.flag,
    }
    arrays: ClassVar = ("momentum_buffer",)

    def __init__(
        self, params: Any = None, lr: Any = None, momentum: float = 0.0, dampening: float = 0.0,
        weight_decay: float = 0.0, nesterov: bool | str = False, *, maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        if lr is None:
            lr = 0.01 if params is None else 1e-3
        super().__init__(
            params, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov,
            maximize=maximize, **options,
        )  # fmt: skip

    def _check_together(self, group: Group) -> None:
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ArgumentError(
                f"{type(self).__name__}: nesterov={group['nesterov']!r} needs a momentum above zero and no dampening, "
                f"got momentum={group['momentum']} and dampening={group['dampening']}."
            )
        if group["nesterov"] == "lookahead":
            self._closure_needed = (
                "nesterov='lookahead' takes the gradient at a point that only step() knows. Give step(closure), or "
                "update(params, function); or use nesterov=True."
            )

    def state_names(self, group: Group) -> tuple[str, ...]:
        return self.arrays if group["momentum"] else ()

    def _update(self, block: Block, group: Group) -> None:
        alpha, beta, s = float(group["lr"]), group["momentum"], -1.0 if group["maximize"] else 1.0
        if beta == 0:
            block.run(kernels.sgd, (), (s, group["weight_decay"], alpha))
            return
        tau = 1.0 - group["dampening"] if "momentum_buffer" in block.state else 1.0
        kernel = _MOMENTUM[group["nesterov"]]
        block.run(kernel, (block.array("momentum_buffer"),), (s, group["weight_decay"], alpha, beta, tau))

    def _evaluate(self, closure: Callable[[], Any]) -> Any:
        """Call the closure at the look-ahead points, and come back."""
        here = []
        try:
            for group, plan in zip(self.param_groups, self._plans, strict=True):
                if group["nesterov"] != "lookahead":
                    continue
                for cell in plan.cells:
                    v = plan.state_of(cell).get("momentum_buffer")
                    if v is not None:
                        data = cell.tensor._data
                        here.append((data, data.copy()))
                        data -= float(group["lr"]) * group["momentum"] * v.reshape(data.shape)
                        mark_changed(data)
            return super()._evaluate(closure)
        finally:
            for data, before in here:
                data[...] = before
                mark_changed(data)


class GD(SGD):
    """Full-batch gradient descent: θ_{t+1} = θ_t - α ∇L(θ_t), L being the loss over all the data.

    The update is that of `SGD`; what makes it full-batch is the loss you call backward on.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        α.
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> x, y = minigrad.tensor([1.0, 2.0, 3.0]), minigrad.tensor([2.0, 4.0, 6.0])
    >>> w = minigrad.tensor(0.0, requires_grad=True)
    >>> optimizer = optim.GD([w], lr=0.1)
    >>> for _ in range(20):
    ...     optimizer.zero_grad()
    ...     ((w * x - y) ** 2).mean().backward()  # the loss over all the data
    ...     optimizer.step()
    >>> round(w.item(), 4)
    2.0
    """

    def __init__(self, params: Any = None, lr: Any = 0.01, **options: Any) -> None:
        super().__init__(params, lr, **options)


class SGDMomentum(SGD):
    """SGD with momentum: v_{t+1} = β v_t + ∇L(θ_t), θ_{t+1} = θ_t - α v_{t+1}.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        α.
    momentum : float
        β, in [0, 1).
    options
        All of `SGD`'s other arguments.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([1.0])
    >>> optimizer = optim.SGDMomentum(lr=0.1, momentum=0.5)  # v is 1, 1.5, 1.75
    >>> for _ in range(3):
    ...     optimizer.update([w], [np.array([1.0])])
    ...     print(w.round(6))
    [0.9]
    [0.75]
    [0.575]
    """

    def __init__(self, params: Any = None, lr: Any = 0.01, momentum: float = 0.9, **options: Any) -> None:
        super().__init__(params, lr, momentum, **options)


class Nesterov(SGD):
    """Nesterov's accelerated gradient, evaluated at the look-ahead point.

        v_{t+1} = β v_t + ∇L(θ_t - α β v_t)
        θ_{t+1} = θ_t - α v_{t+1}

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        α.
    momentum : float
        β, in (0, 1).
    nesterov : 'lookahead' or True
        True is PyTorch's rewriting, for `step()` without a closure; see `SGD`.
    options
        `weight_decay`, `maximize`, and the options of `Optimizer`.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([1.0])
    >>> optimizer = optim.Nesterov(lr=0.1, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.update([w], lambda params: [2 * params[0]])
    >>> w
    array([0.56])
    """

    def __init__(
        self, params: Any = None, lr: Any = 0.01, momentum: float = 0.9, nesterov: Any = "lookahead", **options: Any
    ) -> None:
        super().__init__(params, lr, momentum, nesterov=nesterov, **options)
