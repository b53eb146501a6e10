"""Step 14: the same ideas in minigrad, and where they live there.

| step | idea | in minigrad |
| --- | --- | --- |
| 1, 2 | the chain rule on recorded operations | `minigrad/graph.py`, `minigrad/backward.py` |
| 3 | birth order, no recursion | `tick` in `minigrad/versions.py`, `_collect` in `minigrad/backward.py` |
| 4 | broadcasting is undone in one place | `_Sums.add` in `minigrad/backward.py`, `sum_to` in `minigrad/ops/shape.py` |
| 5 | forward and rule side by side, a registry, one test | `minigrad/ops/arithmetic.py`, `tests/engine/test_ops.py` |
| 6, 8 | matrix product; softmax and cross-entropy in one | `minigrad/ops/linalg.py`, `minigrad/ops/loss.py` |
| 7 | optimizers on arrays | `optim/sgd.py`, `optim/adam.py`; many tensors as one array: `optim/arena.py` |
| 9 | nodes that know no outputs; freeing on the way | `Node` in `minigrad/graph.py` |
| 10 | rules that work on arrays and on Tensors | `_read` and `_joined` in `minigrad/backward.py` |
| 11 | the clock of changes in place | `minigrad/versions.py` |
| 12, 13 | convolution, without im2col: loops over registers | `minigrad/ops/conv.py`, `minigrad/kernels/tile.py` |

Below, an operation is added to minigrad in six lines, and each idea is seen at work. Last comes step 13's network.
"""

from __future__ import annotations

import gc
import weakref

import numpy as np

import minigrad
from minigrad import datasets, nn, optim
from minigrad.errors import GraphError
from minigrad.graph import op


@op
def agnesi(x, /):  # type: ignore[no-untyped-def]
    """z = 1 / (1 + x^2)"""
    return 1 / (1 + x * x)


@agnesi.vjp
def agnesi(g, z, x):  # type: ignore[no-redef, no-untyped-def]
    return (-2 * g * x * z * z,)


def check(what: str, got: float, expected: float, tolerance: float) -> None:
    print(f"{what}: {got:.7f}, expected {expected:.7f}")
    if not abs(got - expected) <= tolerance:
        raise SystemExit(f"{what} is wrong")


def the_engine() -> None:
    x = minigrad.tensor(0.5, dtype=minigrad.float64, requires_grad=True)
    (slope,) = minigrad.autograd.grad(agnesi(x), [x], create_graph=True)
    check("step 5, z' = -2x / (1 + x²)² at x = 1/2", slope.item(), -16 / 25, 1e-12)
    (second,) = minigrad.autograd.grad(slope, [x])
    check("step 10, z'' = (6x² - 2) / (1 + x²)³", second.item(), -32 / 125, 1e-12)
    minigrad.gradcheck(agnesi, [minigrad.randn(5, dtype=minigrad.float64, requires_grad=True)])

    n = 100_000
    z = y = minigrad.tensor(1.0, dtype=minigrad.float64, requires_grad=True)
    for _ in range(n):
        z = z * (1 + 1 / n)
    z.backward()
    check("step 3, a chain of 100,000 products", y.grad.item(), (1 + 1 / n) ** n, 1e-9)

    a, b = minigrad.ones(3, 4, requires_grad=True), minigrad.ones(4, requires_grad=True)
    (a * b).sum().backward()
    check("step 4, the gradient of a row used three times", b.grad.numpy()[0], 3.0, 0.0)

    gc.disable()  # what goes now is freed by reference counting alone
    node = weakref.ref(agnesi(a).node)
    check("step 9, nodes left of a graph that nobody needs", float(node() is not None), 0.0, 0.0)
    gc.enable()

    product = (a * b).sum()
    with minigrad.no_grad():
        b.add_(1.0)
    try:
        product.backward()
        raise SystemExit("step 11: expected an error")
    except GraphError as error:
        print(f"step 11, {error}")


def main(epochs: int = 12) -> None:
    the_engine()
    minigrad.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    loader = datasets.DataLoader(datasets.Digits(), batch_size=32, shuffle=True, generator=0)
    for _ in range(epochs):
        for images, labels in loader:
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    images, labels = datasets.Digits(train=False)[np.arange(360)]
    with minigrad.no_grad():
        accuracy = (model(images).argmax(1).numpy() == labels.numpy()).mean()
    print(f"step 13's network after {epochs} epochs: test accuracy {accuracy:.1%}")
    if not accuracy > 0.9:
        raise SystemExit("the network did not learn")


if __name__ == "__main__":
    main()
