"""A small real training: a character transformer of two layers learns to add, down to the entropy of its text.

The text is sentences "3+9=12;" of two random digits and their sum. Of the seven characters of a sentence the two digits
are uniform over ten, ln 10 each, and everything else follows from them: the entropy of a prediction is known exactly,
place for place. To reach it the model has to copy nothing and memorise no text, but to look at both digits at once.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.optim import schedules

CHARACTERS = "0123456789+=;"
SENTENCE, CONTEXT, WIDTH, BATCH, STEPS = 7, 14, 32, 32, 700
# What the characters after the first of two sentences cost at best: 3 of the 13 are digits that nothing foretells.
ENTROPY = np.array([0, math.log(10), 0, 0, 0, 0, math.log(10), 0, math.log(10), 0, 0, 0, 0])


def sentences(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count / 2, CONTEXT) indices: two sentences a row."""
    text = "".join(f"{a}+{b}={a + b:02d};" for a, b in rng.integers(0, 10, (count, 2)))
    return np.array([CHARACTERS.index(c) for c in text]).reshape(-1, CONTEXT)


class CharacterModel(nn.Module):
    """Scores (N, T, characters) of the next character after each of (N, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.characters = nn.Embedding(len(CHARACTERS), WIDTH)
        self.places = nn.Embedding(CONTEXT, WIDTH)
        layer = nn.TransformerEncoderLayer(
            WIDTH, nhead=2, dim_feedforward=2 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.body = nn.TransformerEncoder(layer, num_layers=2, norm=nn.LayerNorm(WIDTH))
        for weight in self.body.layers[1].parameters():  # not a copy of the first layer
            if weight.ndim > 1:
                nn.init.xavier_uniform_(weight)
        self.head = nn.Linear(WIDTH, len(CHARACTERS))

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        embedded = self.characters(x) + self.places(minigrad.arange(x.shape[1]))
        return self.head(self.body(embedded, is_causal=True))


def losses(model: CharacterModel, rows: np.ndarray) -> minigrad.Tensor:
    """The cross-entropy of each character but the first of each row, (N, CONTEXT - 1)."""
    scores = model(minigrad.tensor(rows[:, :-1]))
    return nn.functional.cross_entropy(scores.transpose(1, 2), minigrad.tensor(rows[:, 1:]), reduction="none")


@pytest.mark.slow
def test_a_transformer_learns_to_add_down_to_the_entropy_of_the_text() -> None:
    minigrad.manual_seed(0)
    rng = np.random.default_rng(0)
    model = CharacterModel()
    optimizer = optim.AdamW(model.parameters(), lr=5e-3)
    schedule = schedules.warmup_cosine(5e-3, T_warmup=50, T=STEPS)
    text, test = sentences(20_000, rng), sentences(2000, rng)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = schedule(step + 1)
        loss = losses(model, text[rng.integers(0, len(text), BATCH)]).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    model.eval()
    with minigrad.no_grad():
        by_place = losses(model, test).data.mean(axis=0)
    np.testing.assert_allclose(by_place, ENTROPY, atol=0.06)
    assert ENTROPY.mean() == pytest.approx(3 * math.log(10) / 13)
    assert by_place.mean() == pytest.approx(ENTROPY.mean(), abs=0.01)
