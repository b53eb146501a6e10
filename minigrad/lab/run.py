"""The lab's runs made by minigrad: surfaces as Tensors, gradients by `backward`, steps by `minigrad.optim`.

The page computes the same with formulas of its own (`formulas.js`). The tests hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad import optim
from minigrad.creation import tensor
from minigrad.lab.settings import Numbers, Setting, read_address
from minigrad.optim import schedules
from minigrad.tensor import Tensor

__all__ = ["SURFACES", "Path", "noise", "run"]

# A path ends, as diverged, where a coordinate leaves [-FAR, FAR] or is no number.
FAR = 1e4


def _bowl(x: Any, y: Any) -> Any:
    return 0.5 * (x * x + y * y)


#: The value at (x, y), of numbers, arrays or Tensors.
SURFACES: dict[str, Callable[[Any, Any], Any]] = {
    "bowl": _bowl,
    "ravine": lambda x, y: 0.5 * (0.1 * x * x + 5 * y * y),
    "rosenbrock": lambda x, y: (1 - x) ** 2 + 100 * (y - x * x) ** 2,
    "beale": lambda x, y: (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2,
    "saddle": lambda x, y: 0.5 * x * x - 0.5 * y * y + 0.25 * y**4,
    "himmelblau": lambda x, y: (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2,
    "noisy": _bowl,
}

Shape = Callable[[float, int, Numbers], schedules.Schedule]
_SCHEDULES: dict[str, Shape] = {
    "constant": lambda lr, T, n: schedules.constant(lr),
    "step": lambda lr, T, n: schedules.step_decay(lr, n["gamma"], n["s"]),
    "exponential": lambda lr, T, n: schedules.exponential(lr, decay=n["decay"]),
    "cosine": lambda lr, T, n: schedules.cosine(lr, T, n["floor"] * lr),
    "warmup": lambda lr, T, n: schedules.warmup(n["warm"] / 100 * T, lr),
    "warmup-cosine": lambda lr, T, n: schedules.warmup_cosine(lr, n["warm"] / 100 * T, T, n["floor"] * lr),
    "one-cycle": lambda lr, T, n: schedules.one_cycle(lr, T, n["warm"] / 100 * T),
}

Maker = Callable[..., optim.Optimizer]
_OPTIMIZERS: dict[str, Maker] = {
    "gd": lambda p, n, **o: optim.GD(p, **o),
    "momentum": lambda p, n, **o: optim.SGDMomentum(p, momentum=n["beta"], **o),
    "nesterov": lambda p, n, **o: optim.Nesterov(p, momentum=n["beta"], **o),
    "adagrad": lambda p, n, **o: optim.AdaGrad(p, eps=n["eps"], **o),
    "rmsprop": lambda p, n, **o: optim.RMSprop(p, alpha=n["beta"], eps=n["eps"], **o),
    "adadelta": lambda p, n, **o: optim.Adadelta(p, rho=n["rho"], eps=n["eps"], **o),
    "adam": lambda p, n, **o: optim.Adam(p, betas=_betas(n), eps=n["eps"], **o),
    "adamw": lambda p, n, **o: optim.AdamW(p, betas=_betas(n), eps=n["eps"], weight_decay=n["decay"], **o),
    "adamax": lambda p, n, **o: optim.Adamax(p, betas=_betas(n), eps=n["eps"], **o),
    "nadam": lambda p, n, **o: optim.NAdam(p, betas=_betas(n), eps=n["eps"], momentum_decay=n["psi"], **o),
    "radam": lambda p, n, **o: optim.RAdam(p, betas=_betas(n), eps=n["eps"], **o),
    "lion": lambda p, n, **o: optim.Lion(p, betas=_betas(n), weight_decay=n["decay"], **o),
    "rprop": lambda p, n, **o: optim.Rprop(p, etas=(n["shrink"], n["grow"]), **o),
    "adabelief": lambda p, n, **o: optim.AdaBelief(p, betas=_betas(n), eps=n["eps"], **o),
    "yogi": lambda p, n, **o: optim.Yogi(p, betas=_betas(n), eps=n["eps"], **o),
    "adan": lambda p, n, **o: optim.Adan(p, betas=(*_betas(n), n["beta3"]), eps=n["eps"], **o),
}


def _betas(numbers: Numbers) -> tuple[float, float]:
    return numbers["beta1"], numbers["beta2"]


@dataclass
class Path:
    """The path of one optimizer.

    Attributes
    ----------
    name : str
        The optimizer's key.
    x, y, loss : arrays of float64, (steps + 1,) or fewer
        Where the path was before each step and after the last one, and the surface's value there, without noise.
    alpha : array of float64, (steps,) or fewer
        The rate of each step.
    diverged : int or None
        The step after which a coordinate was beyond ten thousand; the path ends before it.
    """

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    loss: NDArray[np.float64]
    alpha: NDArray[np.float64]
    diverged: int | None


def noise(seed: int) -> Iterator[float]:
    """Random numbers of mean 0 and variance 1, the same bits as in the page.

    Marsaglia's xorshift of 32 bits, begun at the seed with some bits turned and eight values thrown away. A number is
    the sum of twelve uniform ones less six, which is nearly normal and, unlike a logarithm or a cosine, the same in
    every language.

    References
    ----------
    Marsaglia, Xorshift RNGs, Journal of Statistical Software 8(14), 2003.

    Examples
    --------
    >>> from itertools import islice
    >>> [round(z, 6) for z in islice(noise(1), 3)]
    [-1.119725, -0.917414, 0.942007]
    """
    state = seed ^ 0x9E3779B9
    uniform: list[float] = []
    skip = 8
    while True:
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        if skip:
            skip -= 1
            continue
        uniform.append(state / 2**32)
        if len(uniform) == 12:
            yield sum(uniform) - 6.0
            uniform.clear()


def run(address: str = "") -> list[Path]:
    """Make the runs of a setting of the lab, with minigrad.

    Parameters
    ----------
    address : str
        What follows `#` in the page's address; see `read_address`.

    Returns
    -------
    list of Path
        One for each chosen optimizer.

    Raises
    ------
    ArgumentError
        For an address that the page would not write.

    Examples
    --------
    >>> from minigrad import lab
    >>> (path,) = lab.run("surface=bowl&optimizers=gd&gd.lr=0.5&steps=3")
    >>> path.x
    array([-3.   , -1.5  , -0.75 , -0.375])
    """
    setting = read_address(address)
    return [_path(setting, name) for name in setting.optimizers]


def _path(setting: Setting, name: str) -> Path:
    numbers = setting.own[name]
    theta = tensor(np.array([setting.x, setting.y], np.float64), requires_grad=True)
    schedule = _SCHEDULES[setting.schedule](numbers["lr"], setting.steps, setting.shape[setting.schedule])
    clips = {"none": {}, "norm": {"clipnorm": setting.clip_at}, "value": {"clipvalue": setting.clip_at}}[setting.clip]
    optimizer = _OPTIMIZERS[name]([theta], numbers, lr=schedule, **clips)
    surface, random = SURFACES[setting.surface], noise(setting.seed)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = surface(theta[0], theta[1])
        if setting.noise > 0:  # ∇(L + σ ξ·θ) = ∇L + σ ξ
            xi = np.array([next(random), next(random)])
            loss = loss + (tensor(setting.noise * xi) * theta).sum()
        loss.backward()
        return loss

    points, alphas, diverged = [theta.data.copy()], [], None
    for t in range(setting.steps):
        optimizer.step(closure)
        alphas.append(schedule(t))
        if not np.all(np.abs(theta.data) <= FAR):
            diverged = t + 1
            break
        points.append(theta.data.copy())
    x, y = np.array(points).T
    return Path(name, x, y, surface(x, y), np.array(alphas), diverged)
