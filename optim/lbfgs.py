"""L-BFGS: a quasi-Newton method for full batches, with a line search that meets the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from minigrad.errors import ArgumentError, NonFiniteError, ShapeError
from minigrad.graph import wrap
from minigrad.optim import hyper, saved
from minigrad.optim.line_search import Point, strong_wolfe
from minigrad.optim.optimizer import Optimizer
from minigrad.versions import mark_changed

__all__ = ["LBFGS"]

# A step is only remembered if the curvature along it is above this: the inverse Hessian stays positive definite.
LEAST_CURVATURE = 1e-10


class LBFGS(Optimizer):
    """Limited-memory BFGS.

    Each iteration goes along d = -H g, where H is the inverse Hessian that the last differences of points
    s_k = x_{k+1} - x_k and of gradients y_k = g_{k+1} - g_k determine:

        H ← (1 - ρ s yᵀ) H (1 - ρ y sᵀ) + ρ s sᵀ,   ρ = 1 / yᵀs,   starting from (yᵀs / yᵀy) I

    The step length is α (1 / ‖g‖₁ in the first iteration if that is less), or what a line search finds.

    Parameters
    ----------
    params : iterable of parameters
        One group only.
    lr : float or schedule
        α.
    max_iter : int
        Iterations a step.
    max_eval : int, optional
        Evaluations of the closure a step; by default 1.25 max_iter.
    tolerance_grad : float
        End when no element of the gradient is larger.
    tolerance_change : float
        End when parameters or loss change by less.
    history_size : int
        How many pairs (s, y) are kept.
    line_search_fn : {None, 'strong_wolfe'}
    nonfinite : {'raise', 'skip', 'ignore'}
        About the loss and the gradient at the start of a step; see `Optimizer`.

    Notes
    -----
    `step` needs a closure. It is called several times a step, so it must clear the gradients itself.

    References
    ----------
    Nocedal and Wright, Numerical optimization, 2nd edition, algorithms 3.5, 3.6, 7.4 and 7.5.
    https://docs.pytorch.org/docs/stable/generated/torch.optim.LBFGS.html

    Examples
    --------
    >>> import minigrad
    >>> w = minigrad.tensor([-1.0, 2.0], requires_grad=True)
    >>> optimizer = LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 1.0) * (w - 1.0)).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()
    5.0
    >>> w
    tensor([1., 1.], requires_grad=True)
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "max_iter": hyper.whole(1),
        "max_eval": hyper.whole(1),
        "tolerance_grad": hyper.nonnegative,
        "tolerance_change": hyper.nonnegative,
        "history_size": hyper.whole(1),
        "line_search_fn": hyper.one_of(None, "strong_wolfe"),
    }
    elementwise: ClassVar = False

    def __init__(
        self, params: Any, lr: Any = 1.0, max_iter: int = 20, max_eval: int | None = None, tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9, history_size: int = 100, line_search_fn: str | None = None, *,
        nonfinite: str = "raise",
    ) -> None:  # fmt: skip
        if params is None:
            raise ArgumentError(
                "LBFGS: expected parameters; it needs the loss, which update(params, grads) does not have."
            )
        hyper.whole(1)("LBFGS", "max_iter", max_iter)
        super().__init__(
            params, lr=lr, max_iter=max_iter, max_eval=max(1, max_iter * 5 // 4) if max_eval is None else max_eval,
            tolerance_grad=tolerance_grad, tolerance_change=tolerance_change, history_size=history_size,
            line_search_fn=line_search_fn, nonfinite=nonfinite,
        )  # fmt: skip
        if len(self.param_groups) != 1:
            raise ArgumentError(f"LBFGS: expected one parameter group, got {len(self.param_groups)}.")
        self._memory: dict[str, Any] = {}

    # ---- one step: up to max_iter iterations -------------------------------------------------------------------------

    def _make_step(self, closure: Callable[[], Any] | None) -> Any:
        if closure is None:
            raise ArgumentError(
                "LBFGS: step() needs a closure that clears the gradients, computes the loss and calls backward."
            )
        group, memory = self.param_groups[0], self._memory
        first_loss = self._evaluate(closure)
        loss, g = float(first_loss), self._gradient()
        if not self._start_is_finite(loss, g):
            return first_loss
        x = self._position()
        evals = 1
        memory["func_evals"] = memory.get("func_evals", 0) + 1
        memory.setdefault("n_iter", 0)

        for iteration in range(1, group["max_iter"] + 1):
            if np.abs(g).max(initial=0.0) <= group["tolerance_grad"]:
                break
            memory["n_iter"] += 1
            d = self._direction(g)
            t = float(group["lr"]) * (min(1.0, 1.0 / float(np.abs(g).sum())) if memory["n_iter"] == 1 else 1.0)
            memory.update(d=d, t=t, prev_flat_grad=g, prev_loss=loss)
            slope = float(g @ d)
            if slope > -group["tolerance_change"]:
                break
            used = 0
            if group["line_search_fn"] is not None:
                phi = _Line(self, closure, x, d)
                tolerance = group["tolerance_change"] / float(np.abs(d).max())
                point = strong_wolfe(phi, Point(0.0, loss, g, slope), t, tolerance, group["max_eval"] - evals)
                t, loss, g, used = point.t, point.loss, point.grad, phi.evals
                memory["t"] = t
            x = x + t * d
            self._move_to(x)
            if group["line_search_fn"] is None and iteration < group["max_iter"]:
                loss, g, used = float(self._evaluate(closure)), self._gradient(), 1
            evals += used
            memory["func_evals"] += used
            if evals >= group["max_eval"] or np.abs(t * d).max() <= group["tolerance_change"]:
                break
            if abs(loss - memory["prev_loss"]) < group["tolerance_change"]:
                break
        self.steps += 1
        return first_loss

    def _start_is_finite(self, loss: float, g: np.ndarray) -> bool:
        if self.nonfinite == "ignore" or (isfinite(loss) and np.isfinite(g).all()):
            return True
        if self.nonfinite == "skip":
            self.skipped += 1
            return False
        raise NonFiniteError(
            f"LBFGS: the loss is {loss}, and {np.sum(~np.isfinite(g))} of {g.size} elements of the gradient are not "
            "finite. Nothing was changed. Start from other parameters, or shorten the steps with lr."
        )

    def _direction(self, g: np.ndarray) -> np.ndarray:
        """-H g, by the two loops over the remembered pairs (algorithm 7.4), after remembering the last pair."""
        memory = self._memory
        if "d" not in memory:
            memory.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -g
        pairs_y, pairs_s, rho = memory["old_dirs"], memory["old_stps"], memory["ro"]
        y, s = g - memory["prev_flat_grad"], memory["t"] * memory["d"]
        curvature = float(y @ s)
        if curvature > LEAST_CURVATURE:
            if len(pairs_y) == self.param_groups[0]["history_size"]:
                del pairs_y[0], pairs_s[0], rho[0]
            pairs_y.append(y)
            pairs_s.append(s)
            rho.append(1.0 / curvature)
            memory["H_diag"] = curvature / float(y @ y)
        q = -g
        weights = []
        for y, s, r in zip(reversed(pairs_y), reversed(pairs_s), reversed(rho), strict=True):
            weights.append(r * float(s @ q))
            q = q - weights[-1] * y
        q = memory["H_diag"] * q
        for y, s, r, w in zip(pairs_y, pairs_s, rho, reversed(weights), strict=True):
            q = q + (w - r * float(y @ q)) * s
        return q

    # ---- parameters and gradients as one vector ----------------------------------------------------------------------

    def _position(self) -> np.ndarray:
        return np.concatenate([p._data.reshape(-1) for p in self.param_groups[0]["params"]])

    def _gradient(self) -> np.ndarray:
        tensors = self.param_groups[0]["params"]
        flat = [np.zeros_like(p._data) if p._grad is None else p._grad._data for p in tensors]
        return np.concatenate([g.reshape(-1) for g in flat])

    def _move_to(self, x: np.ndarray) -> None:
        start = 0
        for p in self.param_groups[0]["params"]:
            size = p._data.size
            p._data[...] = x[start : start + size].reshape(p._data.shape)
            mark_changed(p._data)
            start += size

    # ---- state -------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> Mapping[Any, dict[str, Any]]:
        """What is remembered, at the first parameter, as PyTorch keeps it."""
        first = self.param_groups[0]["params"][0]
        return MappingProxyType({first: dict(self._memory)} if self._memory else {})

    def state_dict(self, *, copy: bool = True) -> dict[str, Any]:
        return {
            "state": {0: {name: _saved(value, copy) for name, value in self._memory.items()}} if self._memory else {},
            "param_groups": saved.write_groups(self.param_groups),
            "steps": self.steps,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        owner = "LBFGS.load_state_dict"
        read = saved.read_groups(owner, state_dict, self.param_groups, list(self.defaults))
        group = {**self.param_groups[0], **read[0]}
        self._checked(group)
        entry = state_dict["state"].get(0, {})
        names = {"func_evals", "n_iter"}
        if entry.get("d") is not None:
            names |= {"d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss"}
        if entry and not names <= entry.keys():
            raise ArgumentError(f"{owner}: expected the state {sorted(names)}, got {sorted(entry)}.")
        size = sum(p.numel() for p in self.param_groups[0]["params"])
        memory = {name: _loaded(owner, name, entry[name], size) for name in names if entry}
        self.param_groups[0].update(group)
        self._memory = memory
        self.steps = int(state_dict.get("steps", 0))


class _Line:
    """The loss along x + t d, as a function of t that counts its calls."""

    def __init__(self, optimizer: LBFGS, closure: Callable[[], Any], x: np.ndarray, d: np.ndarray) -> None:
        self.optimizer, self.closure, self.x, self.d = optimizer, closure, x, d
        self.evals = 0

    def __call__(self, t: float) -> Point:
        self.evals += 1
        self.optimizer._move_to(self.x + t * self.d)
        try:
            loss = float(self.optimizer._evaluate(self.closure))
        except BaseException:
            self.optimizer._move_to(self.x)
            raise
        g = self.optimizer._gradient()
        return Point(t, loss, g, float(g @ self.d))


def _saved(value: Any, copy: bool) -> Any:
    if isinstance(value, list):
        return [_saved(x, copy) for x in value]
    return wrap(value.copy() if copy else value) if isinstance(value, np.ndarray) else value


def _loaded(owner: str, name: str, value: Any, size: int) -> Any:
    if name in ("func_evals", "n_iter"):
        return int(value)
    if name in ("t", "H_diag", "prev_loss"):
        return float(value)
    if name == "ro":
        return [float(x) for x in value]
    if isinstance(value, list | tuple):
        return [_loaded(owner, name, x, size) for x in value]
    array = saved.as_array(value)
    if array.shape != (size,):
        raise ShapeError(f"{owner}: expected {name} with {size} elements, the state has shape {array.shape}.")
    return array
