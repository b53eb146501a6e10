"""Exercise 3.3: Adam from scratch, verified against PyTorch's, and after it every other optimizer that PyTorch has.

    python examples/exercise_3_3_adam_vs_pytorch.py             # about 20 seconds
    python examples/exercise_3_3_adam_vs_pytorch.py --quick     # fewer steps
    python examples/exercise_3_3_adam_vs_pytorch.py --golden    # against the stored run, not PyTorch

The question
------------
Section 3.4 states Adam in five lines. Do the course's listing of it, minigrad's `optim.Adam` and PyTorch's make the
same steps, and how would one tell an error from rounding?

    m_{t+1} = β1 m_t + (1 - β1) ∇L                 first moment
    v_{t+1} = β2 v_t + (1 - β2) (∇L)²              second moment
    m̂ = m_{t+1} / (1 - β1^{t+1})                   bias correction
    v̂ = v_{t+1} / (1 - β2^{t+1})
    θ_{t+1} = θ_t - α m̂ / (√v̂ + ε)

The experiment
--------------
A network with two hidden units learns XOR, the smallest problem that needs a hidden layer, for 1,000 steps:

    L(θ) = mean over the four cases of (W2 tanh(W1 x + b1) + b2 - y)²,     9 parameters in 4 tensors

Each implementation follows its own path: from equal starts, it takes the gradient where it stands. A wrong formula
would show at once and grow. Rounding shows as differences of some 1e-16 (float64 keeps 16 digits), because a sum of
products may be rounded in another order. So the answer is a curve: the largest difference between two implementations
over all parameters, step by step.

Not every optimizer forgives rounding. One whose steps keep their size however small the gradient is ends up jumping to
and fro across the valley, and there a difference of 1e-16 can decide on which side it lands: two correct programs part.
So each of PyTorch's other optimizers is compared twice,

    same gradients    both get one stream of random gradients: what differs is the formula
    own path          both train the network, as above: what differs is the formula, and what training makes of rounding

and there is a control: minigrad against itself, from a start that is moved by one unit in the last digit. Where that
alone leads as far apart, a difference on the own path says nothing about the formula.

Without PyTorch the other side is a golden run: the same program, run by PyTorch 2.13 and stored in
`examples/golden/adam_pytorch_2_13.npz` (Adam after every step, the others after every 50th). It was made by

    python examples/exercise_3_3_adam_vs_pytorch.py --record examples/golden/adam_pytorch_2_13.npz

References
----------
D. Kingma and J. Ba, Adam: A Method for Stochastic Optimization, 2015 (arXiv:1412.6980).
https://docs.pytorch.org/docs/stable/optim.html
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lesson
import numpy as np

import minigrad
from minigrad.errors import ArgumentError, DataError
from minigrad.io import write_atomically

# ---- the student's solution: the listing of the course module, word for word -----------------------------------------
# ruff: noqa: B905
# fmt: off

class Adam:
    def __init__(self, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8):
        self.lr = lr
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps
        self.m = None
        self.v = None
        self.t = 0

    def update(self, params, grads):
        if self.m is None:
            self.m = [np.zeros_like(p) for p in params]
            self.v = [np.zeros_like(p) for p in params]

        self.t += 1

        for i, (p, g) in enumerate(zip(params, grads)):
            # Update moments
            self.m[i] = self.beta1 * self.m[i] + (1 - self.beta1) * g
            self.v[i] = self.beta2 * self.v[i] + (1 - self.beta2) * g**2

            # Bias correction
            m_hat = self.m[i] / (1 - self.beta1**self.t)
            v_hat = self.v[i] / (1 - self.beta2**self.t)

            # Update
            p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)

# fmt: on
# ---- the problem, in words that both libraries understand ------------------------------------------------------------

STEPS = 1000
OTHERS = 500  # steps of the other optimizers
EVERY = 50  # the golden run keeps this part of them
LR = 0.02
GOLDEN = Path(__file__).resolve().parent / "golden" / "adam_pytorch_2_13.npz"

CASES = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = np.array([[0.0], [1.0], [1.0], [0.0]])
SHAPES = {"W1": (2, 2), "b1": (2,), "W2": (1, 2), "b2": (1,)}


def start() -> list[np.ndarray]:
    """θ_0: W1, b1, W2, b2."""
    rng = np.random.default_rng(3)
    return [rng.standard_normal(shape) for shape in SHAPES.values()]


def stream(steps: int) -> Iterator[list[np.ndarray]]:
    """Random gradients whose sizes run from 1/1000 to 1 over the parameters."""
    rng = np.random.default_rng(4)
    sizes = [10 ** rng.uniform(-3, 0, shape) for shape in SHAPES.values()]
    for _ in range(steps):
        yield [size * rng.standard_normal(size.shape) for size in sizes]


def xor_loss(lib: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
    """L(θ); `lib` is minigrad or torch, the arguments are its tensors."""
    x, y = (lib.tensor(array, dtype=W1.dtype) for array in (CASES, XOR))
    hidden = lib.tanh(x @ W1.T + b1)  # (4, 2)
    error = hidden @ W2.T + b2 - y  # (4, 1)
    return (error * error).mean()


# ---- ways to train it; each returns the parameters before the first step and after each, (steps + 1, 9) --------------

Make = Callable[[list[Any]], Any]  # parameters -> optimizer


def train(lib: Any, make: Make, steps: int, dtype: str = "float64", nudge: bool = False) -> np.ndarray:
    """With an optimizer of `lib`, the ordinary loop. The same lines run in minigrad and in PyTorch.

    `make` gets the parameters and returns the optimizer. `nudge` moves each of them by one unit in the last digit.
    """
    params = [lib.tensor(p, dtype=getattr(lib, dtype), requires_grad=True) for p in start()]
    if nudge:
        params = [lib.tensor(np.nextafter(p, np.inf), requires_grad=True) for p in start()]
    optimizer = make(params)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = xor_loss(lib, *params)
        loss.backward()
        return loss

    path = [flat([p.detach().numpy() for p in params])]
    for _ in range(steps):
        optimizer.step(closure)
        path.append(flat([p.detach().numpy() for p in params]))
    return np.array(path)


def follow(lib: Any, make: Make, steps: int) -> np.ndarray:
    """As `train`, but with gradients from the stream, wherever the parameters are."""
    params = [lib.tensor(p, requires_grad=True) for p in start()]
    optimizer = make(params)
    path = [flat([p.detach().numpy() for p in params])]
    for gradients in stream(steps):

        def closure(gradients: list[np.ndarray] = gradients) -> Any:
            for p, g in zip(params, gradients, strict=True):
                p.grad = lib.tensor(g)
            return lib.tensor(0.0)

        optimizer.step(closure)
        path.append(flat([p.detach().numpy() for p in params]))
    return np.array(path)


def train_by_listing(steps: int, dtype: str = "float64") -> np.ndarray:
    """With the listing, on numpy arrays. It needs gradients from somewhere: minigrad differentiates for it."""
    params = [p.astype(dtype) for p in start()]
    optimizer = Adam(lr=LR)
    path = [flat(params)]
    for _ in range(steps):
        tensors = [minigrad.tensor(p, requires_grad=True) for p in params]
        xor_loss(minigrad, *tensors).backward()
        optimizer.update(params, [t.grad.numpy() for t in tensors])
        path.append(flat(params))
    return np.array(path)


def flat(arrays: list[np.ndarray]) -> np.ndarray:
    """All parameters in one vector (9,)."""
    return np.concatenate([array.reshape(-1) for array in arrays])


def losses(path: np.ndarray) -> np.ndarray:
    """The loss at each point of a path."""
    ends = np.cumsum([int(np.prod(shape)) for shape in SHAPES.values()])[:-1]
    parts = zip(SHAPES.values(), np.split(path, ends, axis=1), strict=True)
    W1, b1, W2, b2 = (part.reshape(len(path), *shape) for shape, part in parts)
    hidden = np.tanh(CASES @ W1.swapaxes(1, 2) + b1[:, None])  # (T, 4, 2)
    return ((hidden @ W2.swapaxes(1, 2) + b2[:, None] - XOR) ** 2).mean((1, 2))


# ---- PyTorch: live, or as it was -------------------------------------------------------------------------------------

# What PyTorch's optimizers are given. minigrad's get the same; where the course module has a formula of its own, an
# argument chooses PyTorch's.
SETTINGS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    "Adam": {"lr": LR},
    "AdamW": {"lr": 0.02, "weight_decay": 0.01},
    "Adamax": {"lr": 0.02},
    "NAdam": {"lr": 0.01},
    "RAdam": {"lr": 0.02},
    "Adagrad": {"lr": 0.2},
    "RMSprop": {"lr": 0.005, "alpha": 0.9, "momentum": 0.5},
    "Adadelta": {"lr": 2.0},
    "Adafactor": {"lr": 0.02},
    "ASGD": {"lr": 0.2, "t0": 100.0},
    "Rprop": {"lr": 0.01},
    "LBFGS": {"lr": 0.1, "max_iter": 1},
    "Muon": {"lr": 0.01},
}
PYTORCH_FORM = {"Adagrad": {"eps_in_sqrt": False}, "RMSprop": {"eps_in_sqrt": False}}
NO_ROUNDING = "Muon (without bfloat16)"


def installed() -> Any:
    """The module torch, or None."""
    try:
        import torch
    except ImportError:
        return None
    return torch


@contextlib.contextmanager
def double_scalars(torch: Any) -> Iterator[None]:
    """PyTorch keeps some scalars of the state (NAdam's product, ASGD's rate) in its default dtype: make it float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def without_bfloat16(torch: Any) -> Iterator[None]:
    """PyTorch's Muon rounds its iterations to bfloat16, which keeps 3 digits; here that rounding does nothing."""
    before = torch.Tensor.bfloat16
    torch.Tensor.bfloat16 = torch.Tensor.clone
    try:
        yield
    finally:
        torch.Tensor.bfloat16 = before


def of(lib: Any, name: str, form: dict[str, Any] | None = None) -> Make:
    """How `lib` makes that optimizer. Muon gets the matrices alone, W1 and W2: it is defined for nothing else."""

    def make(params: list[Any]) -> Any:
        params = [p for p in params if p.ndim == 2] if name == "Muon" else params
        return getattr(lib.optim, name)(params, **SETTINGS[name], **(form or {}))

    return make


def run_pytorch(torch: Any, steps: int, others: int) -> dict[str, np.ndarray]:
    """PyTorch's paths: "Adam" over `steps` steps, and "NAME, own path" and "NAME, same gradients" over `others`."""
    with double_scalars(torch):
        paths = {"Adam": train(torch, of(torch, "Adam"), steps)}
        for name in (*SETTINGS, NO_ROUNDING):
            changed = without_bfloat16(torch) if name == NO_ROUNDING else contextlib.nullcontext()
            with changed:
                make = of(torch, name.split(" (")[0])
                paths[f"{name}, own path"] = train(torch, make, others)
                paths[f"{name}, same gradients"] = follow(torch, make, others)
    return paths


def record(torch: Any, path: Path) -> None:
    """Write the golden run."""
    if torch is None:
        raise ArgumentError("--record needs PyTorch: install torch==2.13.0, or use the run that is stored.")
    paths = run_pytorch(torch, STEPS, OTHERS)
    kept = {name: steps if name == "Adam" else steps[::EVERY] for name, steps in paths.items()}
    content = io.BytesIO()
    np.savez_compressed(content, version=np.array(torch.__version__.split("+")[0]), **kept)
    write_atomically(path, content.getvalue())
    print(f"golden run of PyTorch {torch.__version__}: {path}, {len(content.getvalue()) / 1000:.0f} kB")


def load_golden(steps: int, others: int) -> tuple[str, dict[str, np.ndarray]]:
    """The version of PyTorch that made the golden run, and its paths with NaN at the steps that were not kept."""
    try:
        with np.load(GOLDEN, allow_pickle=False) as file:
            paths = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise DataError(f"the golden run {GOLDEN} cannot be read ({error}). Make it anew with --record.") from error
    version = str(paths.pop("version"))
    adam = paths.pop("Adam")[: steps + 1]
    for name, kept in paths.items():
        full = np.full((OTHERS + 1, kept.shape[1]), np.nan)
        full[::EVERY] = kept
        paths[name] = full[: others + 1]
    return version, {"Adam": adam, **paths}


# ---- 1: Adam, step by step -------------------------------------------------------------------------------------------


def compare_adam(theirs: np.ndarray, steps: int, who: str, ax_loss: Any, ax_difference: Any) -> None:
    listing = train_by_listing(steps)
    ours = train(minigrad, of(minigrad, "Adam"), steps)
    pairs = {
        "the listing and PyTorch": (listing, theirs, lesson.ORANGE),
        "minigrad and PyTorch": (ours, theirs, lesson.BLUE),
        "minigrad and the listing": (ours, listing, lesson.GREEN),
    }
    print(f"1. Adam, {steps:,} steps in float64, against {who}")
    print(f"   loss: {losses(listing)[0]:.4f} before, {losses(listing)[-1]:.2e} after (listing), "
          f"{losses(ours)[-1]:.2e} (minigrad), {losses(theirs)[-1]:.2e} (PyTorch)")  # fmt: skip
    for name, (a, b, colour) in pairs.items():
        difference = np.abs(a - b).max(1)
        first = f"first at step {np.argmax(difference > 0)}" if difference.any() else "equal in every step"
        print(f"   {name:<25} largest difference {difference.max():.2e}, {first}")
        # On a logarithmic axis equal is nowhere: draw it on the lower edge.
        ax_difference.plot(np.maximum(difference, 2e-18), color=colour, label=name, linewidth=1.1)
    worst = float(np.abs(ours - theirs).max())
    verdict = "the same algorithm up to rounding" if worst < 1e-12 else "NOT the same algorithm: look for the error"
    print(f"   So minigrad's Adam and PyTorch's are {verdict}.")

    # If it is rounding, arithmetic with fewer digits makes it larger in proportion; an error would not care.
    low = train_by_listing(steps, "float32") - train(minigrad, of(minigrad, "Adam"), steps, "float32")
    low_difference = np.abs(low).max(1)
    ax_difference.plot(np.maximum(low_difference, 2e-18), color=lesson.PURPLE, linewidth=1.1,
                       label="minigrad and the listing, float32")  # fmt: skip
    ratio = low_difference.max() / (np.abs(ours - listing).max() or np.finfo("float64").eps)
    coarser = np.finfo("float32").eps / np.finfo("float64").eps
    print(f"   float32 rounds {coarser:.0e} times as coarsely: there minigrad and the listing differ by "
          f"{low_difference.max():.1e}, {ratio:.0e} times as much.\n")  # fmt: skip

    styles = (("PyTorch", theirs, lesson.ORANGE, "-", 6), ("minigrad", ours, lesson.SKY, "-", 3),
              ("the listing", listing, lesson.BLACK, ":", 1.5))  # fmt: skip
    for name, path, colour, style, width in styles:
        ax_loss.plot(losses(path), style, color=colour, linewidth=width, label=name)
    ax_loss.set(yscale="log", xlabel="step", ylabel="loss, mean squared error")
    ax_loss.set_title("a   XOR learnt with Adam, three times")
    ax_loss.legend(frameon=False, fontsize=9)
    for dtype in ("float64", "float32"):
        ax_difference.axhline(np.finfo(dtype).eps, color=lesson.GREY, linestyle=":", linewidth=1)
        ax_difference.annotate(f"ε of {dtype}", (steps, np.finfo(dtype).eps), (0, 2), "data", "offset points",
                               ha="right", color=lesson.GREY, fontsize=8)  # fmt: skip
    ax_difference.set(yscale="log", ylim=(1.5e-18, 1), xlabel="step", ylabel="largest |difference| of the 9 parameters")
    powers = (-15, -12, -9, -6)
    ax_difference.set_yticks([2e-18, *(10.0**k for k in powers)], ["equal", *(f"$10^{{{k}}}$" for k in powers)])
    ax_difference.set_title("b   How far apart they are")
    ax_difference.legend(frameon=False, fontsize=9, loc="upper left")


# ---- 2: the others ---------------------------------------------------------------------------------------------------


def compare_all(paths: dict[str, np.ndarray], steps: int, who: str, ax: Any) -> None:
    print(f"2. Every optimizer of torch.optim against {who}, {steps} steps:")
    print("   largest difference, relative to the largest parameter")
    print(f"     {'':<28}    same gradients    own path    control    loss after {steps} steps")
    rows: list[tuple[str, float, float, bool]] = []
    parted = []
    for name in (*SETTINGS, NO_ROUNDING):
        title = name.split(" (")[0]
        forms = [(name, PYTORCH_FORM.get(title, {}), name != "Muon")]
        if title in PYTORCH_FORM:
            forms.append((f"{name}, ε inside the root", {}, False))
        for label, form, alike in forms:
            make = of(minigrad, title, form)
            fed, own = follow(minigrad, make, steps), train(minigrad, make, steps)
            control = relative(train(minigrad, make, steps, nudge=True), own)
            difference = relative(fed, paths[f"{name}, same gradients"])
            drift = relative(own, paths[f"{name}, own path"])
            rows.append((label, difference, drift, alike))
            if alike and drift > 1e-10:
                parted.append((label, drift, control))
            end = losses(own)[-1]
            print(f"     {label:<28}    {difference:>14.1e}    {drift:>8.1e}    {control:>7.1e}    {end:.1e}")
    print("     SparseAdam: not compared, minigrad has no sparse gradients")
    same = [difference for _, difference, _, alike in rows if alike]
    agreeing = sum(difference < 1e-12 for difference in same)
    print(f"   With the same gradients {agreeing} of {len(same)} agree to 1e-12; largest difference {max(same):.1e}.")
    for label, drift, control in parted:
        cause = "rounding alone does that" if control > 1e-3 * drift else "rounding does NOT explain that"
        print(f"   Own path of {label}: {drift:.0e} apart; control {control:.0e}: {cause}.")
    print(
        "   Different on purpose: PyTorch's Muon rounds to bfloat16, which keeps 3 digits; the course module puts ε of"
    )
    print("   AdaGrad and RMSprop inside the root, PyTorch outside (eps_in_sqrt=False in minigrad).\n")

    rows.reverse()
    for y, (_, difference, drift, alike) in enumerate(rows):
        colour, mark = (lesson.BLUE, "o") if alike else (lesson.ORANGE, "D")
        ax.plot(max(drift, 1e-17), y, "|", color=lesson.BLACK, markersize=11, markeredgewidth=1.5)
        ax.plot(max(difference, 1e-17), y, mark, color=colour, markersize=6)
    ax.plot([], [], "o", color=lesson.BLUE, label="same gradients, same formula")
    ax.plot([], [], "D", color=lesson.ORANGE, label="same gradients, other formula on purpose")
    ax.plot([], [], "|", color=lesson.BLACK, markersize=11, markeredgewidth=1.5, label="own path, training included")
    ax.set_yticks(range(len(rows)), [row[0] for row in rows])
    ax.set(xscale="log", xlim=(5e-18, 1), ylim=(-0.7, len(rows) + 3.2))  # the legend stands above the rows
    ax.set_xlabel("largest difference to PyTorch, relative")
    powers = (-14, -11, -8, -5, -2)
    ax.set_xticks([1e-17, *(10.0**k for k in powers)], ["equal", *(f"$10^{{{k}}}$" for k in powers)])
    ax.set_title(f"c   All of torch.optim, {steps} steps")
    ax.legend(frameon=False, fontsize=9, loc="upper left")


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference at the steps that are known, relative to the largest parameter."""
    known = np.isfinite(theirs).all(1)
    return float(np.abs(ours - theirs)[known].max() / np.abs(theirs[known]).max())


def main(arguments: argparse.Namespace) -> None:
    torch = installed()
    if arguments.record:
        record(torch, arguments.record)
        return
    steps, others = (STEPS // 5, OTHERS // 10) if arguments.quick else (STEPS, OTHERS)
    if torch is None or arguments.golden:
        version, paths = load_golden(steps, others)
        who = f"the stored run of PyTorch {version}"
    else:
        paths = run_pytorch(torch, steps, others)
        who = f"PyTorch {torch.__version__}, live"
    picture, axes = lesson.figure(16, 5.4, 1, 3)
    compare_adam(paths["Adam"], steps, who, axes[0, 0], axes[0, 1])
    compare_all(paths, others, who, axes[0, 2])
    lesson.save(picture, arguments.out, "exercise_3_3")


def options() -> lesson.Parser:
    parser = lesson.Parser("exercise_3_3", __doc__)
    parser.add_argument(
        "--golden", action="store_true", help="compare with the stored run, even if PyTorch is installed"
    )
    parser.add_argument("--record", metavar="FILE", type=Path, help="only write the golden run, with PyTorch")
    return parser


if __name__ == "__main__":
    sys.exit(lesson.run(main, options()))
