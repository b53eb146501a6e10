"""All optimizers in one table: what each does, what it remembers, where it comes from and what it is good for."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

__all__ = ["ROWS", "Row", "listing"]


@dataclass(frozen=True)
class Row:
    """One optimizer.

    Attributes
    ----------
    name : the class in `minigrad.optim`
    equation : the update on one line; g is the gradient, m and v are running means of g and g²
    bytes : state per float32 parameter with the default settings, in bytes
    paper : where it comes from
    best_for : when to choose it
    """

    name: str
    equation: str
    bytes: str
    paper: str
    best_for: str


ROWS = [
    Row("GD", "θ ← θ - α g, over all the data", "0", "Cauchy 1847", "small problems, teaching"),
    Row("SGD", "θ ← θ - α g", "0", "Robbins, Monro 1951", "final training; generalises well"),
    Row("SGDMomentum", "v ← β v + g, θ ← θ - α v", "4", "Polyak 1964", "the standard choice for CNNs"),
    Row(
        "Nesterov",
        "v ← β v + g(θ - α β v), θ ← θ - α v",
        "4",
        "Nesterov 1983",
        "smooth problems; steadier than momentum",
    ),
    Row("AdaGrad", "G ← G + g², θ ← θ - α g / √(G + ε)", "4", "JMLR 12, 2011", "sparse features, convex problems"),
    Row(
        "RMSprop",
        "v ← β v + (1-β) g², θ ← θ - α g / √(v + ε)",
        "4",
        "Hinton 2012",
        "recurrent nets, reinforcement learning",
    ),
    Row("Adadelta", "θ ← θ - √(u + ε) / √(v + ε) g", "8", "1212.5701", "no rate to tune"),
    Row("Adam", "θ ← θ - α m̂ / (√v̂ + ε)", "8", "1412.6980", "quick prototyping"),
    Row("AdamW", "Adam, and θ ← (1 - α λ) θ", "8", "1711.05101", "transformers; the default today"),
    Row("Adamax", "u ← max(β₂ u, |g|), θ ← θ - α m̂ / u", "8", "1412.6980", "embeddings, spiky gradients"),
    Row("NAdam", "Adam with Nesterov's momentum", "8", "Dozat 2016", "where Adam works, a little faster"),
    Row("RAdam", "Adam, rectified while v is uncertain", "8", "1908.03265", "Adam without warm-up"),
    Row("ASGD", "SGD, and a running mean of θ", "4", "Polyak, Juditsky 1992", "convex problems"),
    Row("Rprop", "θ ← θ - Δ sign(g), Δ per element", "8", "ICNN 1993", "full batches, small nets"),
    Row(
        "LBFGS",
        "θ ← θ - t H g, H from the last steps",
        "8 h + 8",
        "Nocedal 1980",
        "full batches, smooth, few parameters",
    ),
    Row(
        "Adafactor", "Adam, v as rows times columns", "4/rows + 4/columns", "1804.04235", "large models, little memory"
    ),
    Row("Muon", "θ ← θ - α orthogonal(m)", "4", "Jordan 2024", "matrices of hidden layers"),
    Row("Lion", "θ ← θ - α (sign(m) + λ θ)", "4", "2302.06675", "large models, large batches"),
    Row("LARS", "momentum, α in proportion to ‖θ‖/‖g‖", "4", "1708.03888", "CNNs with batches of thousands"),
    Row("LAMB", "AdamW, α in proportion to ‖θ‖/‖step‖", "8", "1904.00962", "transformers with batches of thousands"),
    Row("AdaBelief", "Adam, v of g - m in place of g", "8", "2010.07468", "GANs; between Adam and SGD"),
    Row("Yogi", "v ← v - (1-β₂) sign(v - g²) g²", "8", "NeurIPS 2018", "where Adam forgets rare gradients"),
    Row("Adan", "Adam with a momentum of differences of g", "16", "2208.06677", "transformers and CNNs, high rates"),
    Row("ScheduleFreeSGD", "z ← z - γ g(y), x = mean of z", "4", "2405.15682", "no end of training to plan for"),
    Row("ScheduleFreeAdamW", "the same with Adam's denominator", "8", "2405.15682", "no end of training to plan for"),
    Row("Prodigy", "Adam with α = an estimate of ‖θ* - θ₀‖", "16", "2306.06101", "no rate to tune"),
]


def listing() -> str:
    """The table as text.

    Examples
    --------
    >>> [line.split()[0] for line in listing().splitlines()[2:5]]
    ['GD', 'SGD', 'SGDMomentum']
    """
    head = Row("optimizer", "update", "bytes", "paper (arXiv)", "best for")
    columns = [[getattr(row, field) for row in (head, *ROWS)] for field in Row.__dataclass_fields__]
    padded = []
    for column in columns:
        width = max(map(_width, column))
        padded.append([cell + " " * (width - _width(cell)) for cell in (column[0], "-" * width, *column[1:])])
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*padded, strict=True))


def _width(text: str) -> int:
    """How many columns of a terminal the text takes: marks over a letter take none."""
    return sum(unicodedata.combining(character) == 0 for character in text)
