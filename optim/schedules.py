"""Schedules: pure functions of the step for the learning rate and every other hyper-parameter.

    lr = warmup(500).then(cosine(0.1, T=9500))
    lr(250)                 # 0.05
    lr(np.arange(10_000))   # the whole run at once
    lr.plot()

Steps count from 0. What each schedule does past its end:

| schedule | past the end |
| --- | --- |
| `warmup`, `warmup_cosine`, `one_cycle`, `wsd` | keeps its last value |
| `cosine`, `linear`, `polynomial`, `rex` | keeps its last value |
| `piecewise`, `constant` | the last value has no end |
| `step_decay`, `exponential`, `inverse_time`, `inverse_sqrt` | no end, the fall goes on |
| `cyclic`, `cosine_restarts`, `cosine(..., periodic=True)` | no end, they repeat |
| `a * b` | ends with the factor that ends last |
| `a.then(b, at)` | ends as `b` does |

`by_name` builds any of them for a run of a given length, which is what `--schedule` on the command line
takes.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable

from minigrad.errors import ArgumentError
from minigrad.optim import schedule_checks as check
from minigrad.optim.schedule_base import Schedule, constant, product, sequence
from minigrad.optim.schedule_cycles import cosine_restarts, cyclic
from minigrad.optim.schedule_decays import (
    cosine,
    exponential,
    inverse_time,
    linear,
    piecewise,
    polynomial,
    rex,
    step_decay,
)
from minigrad.optim.schedule_phases import inverse_sqrt, noam, one_cycle, warmup, warmup_cosine, wsd

__all__ = [
    "Schedule",
    "by_name",
    "constant",
    "cosine",
    "cosine_restarts",
    "cyclic",
    "exponential",
    "gallery",
    "inverse_sqrt",
    "inverse_time",
    "linear",
    "listing",
    "names",
    "noam",
    "one_cycle",
    "piecewise",
    "polynomial",
    "product",
    "rex",
    "sequence",
    "step_decay",
    "warmup",
    "warmup_cosine",
    "wsd",
]

# Each entry builds a schedule from the peak learning rate and the length of the run in steps. The module's
# five come first. Where a family needs more numbers they are the customary ones: a warm-up of a twentieth of
# the run, a cool-down of a fifth, drops by ten.
_BY_NAME: dict[str, Callable[[float, int], Schedule]] = {
    "step": lambda lr, n: step_decay(lr, gamma=0.1, s=n / 3),
    "exponential": lambda lr, n: exponential(lr, decay=math.log(100) / n),
    "cosine": lambda lr, n: cosine(lr, T=n),
    "warmup": lambda lr, n: warmup(n / 20, lr),
    "one-cycle": lambda lr, n: one_cycle(lr, T=n),
    "constant": lambda lr, n: constant(lr),
    "linear": lambda lr, n: linear(lr, 0.0, T=n),
    "polynomial": lambda lr, n: polynomial(lr, T=n, power=2.0),
    "inverse-time": lambda lr, n: inverse_time(lr, decay=9 / n),
    "inverse-sqrt": lambda lr, n: inverse_sqrt(lr, T_warmup=n / 20),
    "rex": lambda lr, n: rex(lr, T=n),
    "piecewise": lambda lr, n: piecewise((n / 2, 3 * n / 4), (lr, lr / 10, lr / 100)),
    "warmup-cosine": lambda lr, n: warmup_cosine(lr, T_warmup=n / 20, T=n),
    "warmup-step": lambda lr, n: warmup(n / 20) * step_decay(lr, gamma=0.1, s=n / 3),
    "one-cycle-three-phase": lambda lr, n: one_cycle(lr, T=n, three_phase=True),
    "wsd": lambda lr, n: wsd(lr, n / 20, 3 * n / 4, n / 5),
    "wsd-cosine": lambda lr, n: wsd(lr, n / 20, 3 * n / 4, n / 5, cooldown="cosine"),
    "wsd-1-sqrt": lambda lr, n: wsd(lr, n / 20, 3 * n / 4, n / 5, cooldown="1-sqrt"),
    "cyclic": lambda lr, n: cyclic(lr / 10, lr, step_size_up=n / 8),
    "cyclic-triangular2": lambda lr, n: cyclic(lr / 10, lr, step_size_up=n / 8, mode="triangular2"),
    "cyclic-exp-range": lambda lr, n: cyclic(lr / 10, lr, n / 8, mode="exp_range", gamma=math.exp(-3 / n)),
    "cosine-restarts": lambda lr, n: cosine_restarts(lr, T_0=n / 4),
    "cosine-restarts-growing": lambda lr, n: cosine_restarts(lr, T_0=n / 7, T_mult=2),
}


def names() -> list[str]:
    """Return the names that `by_name` accepts, the module's five first.

    Examples
    --------
    >>> names()[:5]
    ['step', 'exponential', 'cosine', 'warmup', 'one-cycle']
    """
    return list(_BY_NAME)


def by_name(name: str, lr: float, total_steps: int) -> Schedule:
    """Return the schedule of that name, with customary settings for a run of `total_steps`.

    Parameters
    ----------
    name : str
        One of `names()`.
    lr : float
        The learning rate at the peak (or at the start, for a schedule that only falls).
    total_steps : int
        The number of optimizer steps of the run.

    Raises
    ------
    ArgumentError
        If the name is unknown, the learning rate not a number of zero or more, or the run shorter than one
        step.

    Examples
    --------
    >>> by_name("warmup-cosine", lr=0.1, total_steps=1000)
    warmup_cosine(alpha_max=0.1, T_warmup=50.0, T=1000)
    """
    if name not in _BY_NAME:
        near = difflib.get_close_matches(str(name), _BY_NAME, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ArgumentError(f"schedule: expected one of {', '.join(_BY_NAME)}; got {name!r}.{hint}")
    lr = check.nonnegative("schedule", "lr", lr)
    return _BY_NAME[name](lr, check.integer("schedule", "total_steps", total_steps, at_least=1))


def gallery(lr: float = 0.1, total_steps: int = 1000) -> list[tuple[str, Schedule, str]]:
    """Return name, schedule and equation of each entry of `names()`, for a run of `total_steps`.

    Examples
    --------
    >>> name, schedule, equation = gallery(lr=0.1)[0]
    >>> name, schedule(0), equation
    ('step', 0.1, 'α_t = α_0 · γ^⌊t/s⌋')
    """
    schedules = [(name, by_name(name, lr, total_steps)) for name in _BY_NAME]
    return [(name, schedule, schedule.equation) for name, schedule in schedules]


def listing() -> str:
    """Return the gallery as text: each schedule with its equation and the expression that builds it.

    Examples
    --------
    >>> listing().splitlines()[:2]
    ['step', '    α_t = α_0 · γ^⌊t/s⌋']
    """
    lines = []
    for name, schedule, equation in gallery():
        lines += [name, f"    {equation}", f"    {schedule!r}", ""]
    return "\n".join(lines[:-1])
