"""Full batch against mini-batches: memory, updates in an epoch, and what an epoch achieves.

Memory is what numpy allocates at most during a forward and a backward pass, as Python's tracemalloc counts it. The
training data itself is not in it: it is there either way.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
from claim import NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels, slope
from training import MLP, Run, best, digits, train

import minigrad
from minigrad import optim
from minigrad.nn import functional as F

SIZES = [64, 256, 10]


def peak_memory(batch_size: int) -> float:
    """Megabytes allocated at most for the gradient of one batch."""
    model = MLP(SIZES)
    x = minigrad.randn(batch_size, 64)
    y = minigrad.zeros(batch_size, dtype=minigrad.int64)
    for _ in range(2):  # the second pass is measured: the first may compile
        tracemalloc.start()
        model.zero_grad()
        F.cross_entropy(model(x), y).backward()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak / 1e6


def run(quick: bool) -> Result:
    data = digits()
    N = len(data.x)
    seeds, epochs = (2, 5) if quick else (5, 20)
    rates = [0.1, 1.0] if quick else [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]

    batch_sizes = [1024, 2048, 4096, 8192, 16384]
    memory = [peak_memory(size) for size in batch_sizes]
    exponent = slope(batch_sizes, memory)
    mini_batch_memory = peak_memory(32)

    def trained(batch_size: int, lr: float, seed: int) -> Run:
        minigrad.manual_seed(seed)
        model = MLP([64, 32, 10])
        return train(model, optim.SGD(model.parameters(), lr=lr), data, epochs, batch_size, seed)

    runs = {}
    for size in (32, N):
        # The rate with the lowest test loss at the end, tried with one seed that is not among those reported.
        lr, _ = best(rates, lambda lr, size=size: trained(size, lr, 100).test_loss)
        runs[size] = [trained(size, lr, seed) for seed in range(seeds)]
    updates = {size: len(runs[size][0].losses) / epochs for size in runs}

    figure, (left, right) = panels(2)
    left.loglog(batch_sizes, memory, "o-", label=f"exponent {exponent:.2f}")
    left.set_xticks(batch_sizes, [str(size) for size in batch_sizes])
    left.minorticks_off()
    label(left, "Memory of one gradient", "samples in the batch", "peak of allocations (MB)")
    for size, name in ((32, "mini-batches of 32"), (N, f"full batch, N = {N}")):
        curves = np.array([r.test_losses for r in runs[size]])
        right.semilogy(range(1, epochs + 1), curves.mean(0), "o-", markersize=3, label=name)
    label(right, f"Digits, mean of {seeds} seeds, rates tuned for each", "epoch", "test loss")

    losses = {size: [r.test_loss for r in runs[size]] for size in runs}
    ok = abs(exponent - 1) < 0.1 and updates[N] == 1 and updates[32] == N // 32
    return Result(
        section="3.2",
        quote="Memory: O(N), O(batch_size). Updates per epoch: 1, N/batch_size",
        numbers=[
            number("exponent of B in the memory", exponent, 1.0),
            number("MB for B = 32", mini_batch_memory),
            number("MB for B = 16384", memory[-1]),
            number("updates an epoch, full batch", updates[N], 1.0),
            number("updates an epoch, B = 32", updates[32], float(N // 32)),
            number(f"test loss after {epochs} epochs, full batch", losses[N]),
            number(f"test loss after {epochs} epochs, B = 32", losses[32]),
        ],
        verdict=SUPPORTED if ok else NOT_SUPPORTED,
        because=f"memory grows as B^{exponent:.2f}, {1e3 * (memory[-1] - memory[0]) / (16384 - 1024):.1f} kB a sample; "
        f"{epochs} epochs are {epochs} updates for the full batch (test loss {np.mean(losses[N]):.2f}) and "
        f"{epochs * int(updates[32])} for batches of 32 ({np.mean(losses[32]):.2f}).",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
