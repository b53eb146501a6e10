"""The quadratic bowl: the objective on which everything about an optimizer can be computed by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minigrad.datasets.seeding import as_generator
from minigrad.errors import ArgumentError, ShapeError
from minigrad.random import Generator
from minigrad.tensor import Tensor, from_numpy

__all__ = ["QuadraticBowl"]


class QuadraticBowl:
    """f(w) = 1/2 (w - w*)^T A (w - w*), where A is symmetric with eigenvalues that are given.

    Gradient descent with the rate lr multiplies the error along eigenvector i by 1 - lr l_i in each step. It
    converges for lr < 2 / l_max, fastest for lr = 2 / (l_min + l_max), and then by (k - 1) / (k + 1) a step, where
    k = l_max / l_min is the condition number.

    Parameters
    ----------
    eigenvalues : sequence of float
        l_1 ... l_n. All positive for a bowl; a negative one makes a saddle, 0 a valley.
    minimum : sequence of float, optional
        w*, where the gradient is 0; the origin if not given.
    rotate : bool, default True
        Draw the eigenvectors uniformly among the orthonormal bases. False takes the axes, and A is diagonal.
    generator : int, minigrad.Generator or None
        The seed of the eigenvectors.

    Attributes
    ----------
    eigenvalues : numpy.ndarray
        As given, (n,).
    eigenvectors : numpy.ndarray
        One in each column, (n, n).
    matrix : numpy.ndarray
        A, float64 (n, n).
    minimum : numpy.ndarray
        w*, float64 (n,).

    Raises
    ------
    ArgumentError
        No eigenvalue, or one that is not finite.
    ShapeError
        `minimum`, or a point, is not of shape (n,).

    References
    ----------
    G. Goh, "Why Momentum Really Works", Distill, 2017.

    Examples
    --------
    >>> bowl = QuadraticBowl([1.0, 10.0], generator=0)
    >>> w = Tensor(np.array([3.0, 4.0]), requires_grad=True)
    >>> bowl(w).backward()
    >>> bool(np.allclose(w.grad.numpy(), bowl.matrix @ [3.0, 4.0]))
    True
    """

    def __init__(
        self,
        eigenvalues: Sequence[float] | np.ndarray,
        *,
        minimum: Sequence[float] | np.ndarray | None = None,
        rotate: bool = True,
        generator: int | Generator | None = None,
    ) -> None:
        self.eigenvalues = np.asarray(eigenvalues, np.float64)
        if self.eigenvalues.ndim != 1 or not self.eigenvalues.size or not np.isfinite(self.eigenvalues).all():
            raise ArgumentError(
                f"QuadraticBowl: expected one or more finite eigenvalues, got {eigenvalues}. Pass for example [1, 10]."
            )
        size = self.eigenvalues.size
        self.minimum = np.zeros(size) if minimum is None else np.asarray(minimum, np.float64)
        self._check("minimum", self.minimum.shape)
        self.eigenvectors = np.eye(size)
        if rotate:
            q, r = np.linalg.qr(as_generator(generator).numpy.standard_normal((size, size)))
            # QR fixes the signs by its own convention; those of the diagonal of R make the basis uniform (Mezzadri
            # 2007).
            self.eigenvectors = q * np.sign(np.diag(r))
        self.matrix = (self.eigenvectors * self.eigenvalues) @ self.eigenvectors.T

    @property
    def condition_number(self) -> float:
        """k = largest / smallest absolute eigenvalue."""
        magnitudes = np.abs(self.eigenvalues)
        with np.errstate(divide="ignore"):
            return float(magnitudes.max() / magnitudes.min())

    def __call__(self, w: Tensor) -> Tensor:
        """f(w), differentiable, in the dtype of w of shape (n,)."""
        self._check("w", tuple(w.shape))
        error = w - from_numpy(self.minimum.astype(w.dtype))
        return (error * (from_numpy(self.matrix.astype(w.dtype)) @ error)).sum() * 0.5

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """A (w - w*), the gradient in closed form, for an array (n,)."""
        self._check("w", np.shape(w))
        return self.matrix @ (w - self.minimum)

    def _check(self, name: str, shape: tuple[int, ...]) -> None:
        if shape != self.eigenvalues.shape:
            raise ShapeError(
                f"QuadraticBowl: expected {name} of shape {self.eigenvalues.shape} (one number for each eigenvalue), "
                f"got {shape}. Reshape it."
            )

    def __repr__(self) -> str:
        return f"QuadraticBowl({self.eigenvalues.size} dimensions, condition number {self.condition_number:.4g})"
