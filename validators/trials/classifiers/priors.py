"""Imbalance answered without samples: weights of classes in the loss, and correction of the prior after training."""

from __future__ import annotations

import numpy as np

from corpora.errors import UserError


def class_weights(y: np.ndarray, n_classes: int, power: float = 1.0) -> np.ndarray:
    """[N] class indices -> [N] weights proportional to (N / (K n_c))^power, scaled to mean 1 over the rows; K classes
    that are there, n_c rows of a row's class. power 1: each class weighs the same in all; 0: all 1.

    Raises `UserError` for no rows, `ValueError` for an index outside 0 ... n_classes - 1.
    """
    y = np.asarray(y)
    if y.size == 0:
        raise UserError("class weights of no rows are undefined: train is empty.")
    if y.min() < 0 or y.max() >= n_classes:
        raise ValueError(f"class indices {y.min()} ... {y.max()} of {n_classes} classes")
    counts = np.bincount(y, minlength=n_classes)
    weights = (len(y) / (np.count_nonzero(counts) * counts[y].astype(np.float64))) ** power
    return weights / weights.mean()


def train_prior(y: np.ndarray, n_classes: int, weights: np.ndarray | None = None) -> np.ndarray:
    """[N] class indices, [N] weights or None -> [n_classes] the shares that a classifier trained on them has learned as
    its prior; 0 for a class that is not there."""
    prior = np.bincount(y, weights=weights, minlength=n_classes).astype(np.float64)
    return prior / prior.sum()


def logit_adjusted(log_probabilities: np.ndarray, prior: np.ndarray, tau: float = 1.0) -> np.ndarray:
    """[n, K] log-probabilities, [K] prior of train -> [n] int64 answers: argmax of log p_y(x) - tau log prior_y.

    Post-hoc logit adjustment (Menon et al. 2021, arXiv:2007.07314, eq. 9). With tau = 1 it is Bayes' rule with the
    prior of train exchanged for a uniform one (Saerens et al. 2002, "Adjusting the outputs of a classifier to new a
    priori probabilities"): the correction where the prior of test is not known, and the one that minimises the balanced
    error. A class with prior 0 is never answered.
    """
    return np.argmax(_adjusted(log_probabilities, prior, tau), axis=1).astype(np.int64)


def adjusted_answers(
    scores: np.ndarray, prior: np.ndarray, tau: float = 1.0, *, probabilities: bool, name: str = "classifier"
) -> tuple[np.ndarray, np.ndarray]:
    """[n, K] scores of a classifier -> [n] answers of `logit_adjusted`, [n, K] float32 adjusted probabilities.

    Raises `UserError` where scores are no probabilities: subtracting a log-prior needs scores that are log-odds, which
    only a proper loss estimates. The hinge loss is none: its minimiser is the sign of p - 1/2 and keeps no odds
    (Bartlett & Tewari 2007, "Sparseness versus estimating conditional probabilities"), and a sigmoid through its
    margins (Platt 1999) would have to be calibrated on people whom the machine has not met.
    """
    if not probabilities:
        raise UserError(
            f"logit adjustment of {name} is undefined: its scores are margins, no probabilities. Take class weights "
            "for it, or a classifier with probabilities (logistic, boosting, cnn)."
        )
    with np.errstate(divide="ignore"):
        logits = _adjusted(np.log(np.asarray(scores, np.float64)), prior, tau)
    adjusted = np.exp(logits - logits.max(axis=1, keepdims=True))
    adjusted /= adjusted.sum(axis=1, keepdims=True)
    return np.argmax(logits, axis=1).astype(np.int64), adjusted.astype(np.float32)


def _adjusted(log_probabilities: np.ndarray, prior: np.ndarray, tau: float) -> np.ndarray:
    prior = np.asarray(prior, np.float64)
    if prior.shape != (np.shape(log_probabilities)[1],) or (prior < 0).any() or not prior.sum() > 0:
        raise ValueError(f"prior {prior} of {np.shape(log_probabilities)[1]} classes: shares of at least 0, not all 0")
    known = prior > 0
    logits = np.full(np.shape(log_probabilities), -np.inf)
    logits[:, known] = np.asarray(log_probabilities, np.float64)[:, known] - tau * np.log(prior[known])
    if np.isnan(logits).any() or not np.isfinite(logits.max(axis=1)).all():
        raise ValueError("a row has no class with a finite log-probability and a prior above 0")
    return logits
