"""Leading principal components from inner products.

A singular value decomposition of n rows in D columns costs some 4 n D min(n, D), most of it for vectors that nobody
asks for. The inner products of the rows (or of the columns, where those are fewer) have its spectrum: of n rows in more
columns the leading eigenvectors u_i, of eigenvalues l_i, give the components u_i^T X / sqrt(l_i) (Turk & Pentland 1991,
"Eigenfaces for recognition", p. 74). One product of half a matrix and d vectors are a tenth of the work and less.

It squares the ratio of singular values, so a component whose variance is next to rounding of the largest is lost in it:
where one of those asked for is, the decomposition is taken after all.
"""

from __future__ import annotations

import numpy as np

_SMALL = 1e-10  # of the largest variance: below it eigenvectors of inner products lose more than half of their digits


def leading(x: np.ndarray, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x [n, D] finite float64, n >= 1; 1 <= d <= min(n, D) -> mean [D], components [d, D], variances [d] (ddof 1; 0 of
    a single row), the largest first. Components are orthonormal, and the entry that is largest in size is positive."""
    mean = x.mean(axis=0)
    components, squares = directions(x - mean, d)
    return mean, components, squares / max(len(x) - 1, 1)


def directions(z: np.ndarray, d: int) -> tuple[np.ndarray, np.ndarray]:
    """z [n, D] finite float64, 1 <= d <= min(n, D) -> its leading right singular vectors [d, D], the squares of their
    singular values [d], the largest first. The entry of a vector that is largest in size is positive."""
    from scipy.linalg import eigh

    n, columns = z.shape
    few = min(n, columns)
    values, vectors = eigh(z @ z.T if n <= columns else z.T @ z, subset_by_index=(few - d, few - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    if values[-1] > _SMALL * values[0]:
        right = (vectors / np.sqrt(values)).T @ z if n <= columns else vectors.T
    else:
        _, singular, right = np.linalg.svd(z, full_matrices=False)
        right, values = right[:d], np.square(singular[:d])
    largest = np.abs(right).argmax(axis=1)
    return right * np.where(right[np.arange(d), largest] < 0, -1.0, 1.0)[:, None], values
