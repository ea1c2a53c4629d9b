"""The recipe of the shared-strength estimate, step by step, in loops and without a thought of speed: what the code is
compared with."""

from __future__ import annotations

import numpy as np


def recipe(
    x: np.ndarray, y: np.ndarray, subjects: list[str], k: int, others: dict[int, np.ndarray] | None = None
) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """-> m of the rare class k, and effects of the classes with 8 rows or more of the fit without k."""
    n = int((y == k).sum())
    rest = [i for i in range(len(x)) if y[i] != k]
    people, kinds = sorted({subjects[i] for i in rest}), sorted({int(y[i]) for i in rest})
    known = [j for j in kinds if (y == j).sum() >= 8]
    e = {j: np.zeros(x.shape[1]) for j in kinds}
    for _ in range(6):
        a = {s: np.mean([x[i] - e[int(y[i])] for i in rest if subjects[i] == s], axis=0) for s in people}
        e = {j: np.mean([x[i] - a[subjects[i]] for i in rest if y[i] == j], axis=0) for j in kinds}
        centre = np.mean([e[j] for j in known], axis=0)
        e = {j: e[j] - centre for j in kinds}
    for s in set(subjects) - set(people):
        a[s] = np.mean([a[p] for p in people], axis=0)
    r = {i: x[i] - a[subjects[i]] - e[int(y[i])] for i in rest if int(y[i]) in known}
    u = np.mean([x[i] - a[subjects[i]] for i in range(len(x)) if y[i] == k], axis=0)
    d = x.shape[1]
    first = np.zeros(d)
    for f in range(d):
        within = np.mean([np.var([r[i][f] for i in r if y[i] == j], ddof=1) for j in known])
        v = np.var([e[j][f] for j in known], ddof=1) + 0.02 * np.var([x[i][f] for i in rest])
        w = n / within
        first[f] = (w * u[f] + np.mean([e[j][f] for j in known]) / v) / (w + 1 / v)
    if len(known) < 3:
        return first, {j: e[j] for j in known}
    residuals = np.stack(list(r.values()))
    s = oas_covariance(residuals)
    values, vectors = np.linalg.eigh(s)
    w, back = vectors / np.sqrt(values) @ vectors.T, vectors * np.sqrt(values) @ vectors.T
    z = u @ w
    q = [e[j] @ w for j in known]
    c = np.mean(q, axis=0)
    if others is not None:
        zero = np.mean([others[j] for j in known], axis=0)
        q = [e[j] @ w - 0.5 * (others[j] - zero) @ w for j in known]
        c = np.mean(q, axis=0) + 0.5 * (others[k] - zero) @ w
    spread = np.stack(q) - np.mean(q, axis=0)
    _, singular, directions = np.linalg.svd(spread, full_matrices=False)
    lam = singular**2 / (len(known) - 1)
    t = lam.sum() / d
    out = c + t / (t + 1 / n) * (z - c)
    for value, direction in zip(lam, directions, strict=True):
        gain = (value + t) / (value + t + 1 / n) - t / (t + 1 / n)
        out = out + gain * ((z - c) @ direction) * direction
    return (first + out @ back) / 2, {j: e[j] for j in known}


def oas_covariance(x: np.ndarray) -> np.ndarray:
    """Chen, Wiesel, Eldar & Hero 2010, eq. 23, in the form that scikit-learn has: rows of mean 0."""
    n, p = x.shape
    s = x.T @ x / n
    mu, alpha = np.trace(s) / p, float((s**2).mean())
    rho = min(1.0, (alpha + mu**2) / ((n + 1.0) * (alpha - mu**2 / p)))
    return (1 - rho) * s + rho * mu * np.eye(p)
