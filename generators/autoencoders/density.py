"""The density that the codes of each class have, and the noise that a decoder leaves over: estimated after the fit.

Codes are drawn from a Gaussian fitted to what the encoder makes of each class (ex-post density estimation, Ghosh et
al. 2020), not from the N(0, 1) that a posterior never quite fills.
"""

from __future__ import annotations

import torch
from torch import nn

FOR_EACH = 10  # codes that a Gaussian of a mixture needs


class CodeDensity(nn.Module):
    """A mixture of Gaussians over the codes of each class; of one component: a Gaussian."""

    mean: torch.Tensor  # [K, M, d]
    factor: torch.Tensor  # [K, M, d, d] Cholesky factors of the covariances
    weight: torch.Tensor  # [K, M], sums to 1 over M

    def __init__(self, n_classes: int, latent: int, components: int = 1) -> None:
        super().__init__()
        self.components = components
        self.register_buffer("mean", torch.zeros(n_classes, components, latent))
        self.register_buffer("factor", torch.eye(latent).repeat(n_classes, components, 1, 1))
        weight = torch.zeros(n_classes, components)
        weight[:, 0] = 1.0
        self.register_buffer("weight", weight)

    @torch.no_grad()
    def fit(self, mean: torch.Tensor, variance: torch.Tensor, labels: torch.Tensor) -> None:
        """Posterior means and variances [N, d] (float64) and class indices [N]: fits the densities of all classes."""
        centres, factors = latent_density(mean, variance, labels, len(self.mean))
        self.mean.copy_(centres[:, None].expand_as(self.mean))
        self.factor.copy_(factors[:, None].expand_as(self.factor))
        self.weight.zero_()
        self.weight[:, 0] = 1.0
        if self.components == 1:
            return
        for k in range(len(self.mean)):
            own = mean[labels == k]
            parts = mixture(own, variance.mean(dim=0), min(self.components, len(own) // FOR_EACH))
            for m, (share, centre, factor) in enumerate(parts):
                self.weight[k, m], self.mean[k, m], self.factor[k, m] = share, centre.float(), factor.float()

    @torch.no_grad()
    def set(self, means: torch.Tensor) -> None:
        """Means [K, d]: the densities are N(mean, 1) of each class, whatever its codes are."""
        self.mean.copy_(means.to(self.mean)[:, None].expand_as(self.mean))
        self.factor.copy_(torch.eye(self.mean.shape[-1]).to(self.factor).expand_as(self.factor))
        self.weight.zero_()
        self.weight[:, 0] = 1.0

    def draw(self, emotion: torch.Tensor, eps: torch.Tensor, turn: torch.Tensor | None = None) -> torch.Tensor:
        """Shares of the classes [B, K], standard normal noise [B, d] and, of more than one component, uniform numbers
        [B] that choose among them -> codes [B, d]. A mixture of classes gets the mean of what each would give."""
        if self.components == 1 or turn is None:
            place = torch.zeros(len(eps), len(self.mean), dtype=torch.long, device=eps.device)
        else:
            place = (turn[:, None, None] >= self.weight.cumsum(dim=1)[None]).sum(dim=2)
            place = place.clamp(max=self.components - 1)
        index = torch.arange(len(self.mean), device=eps.device)[None, :]
        per_class = self.mean[index, place] + torch.einsum("bkij,bj->bki", self.factor[index, place], eps)
        return torch.einsum("bk,bki->bi", emotion, per_class)

    def around(self, emotion: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
        """Shares of the classes [B, K] and standard normal noise [B, d] -> [B, d] what leads from the mean of a class
        (of its largest Gaussian) to a code."""
        largest = self.weight.argmax(dim=1)
        factor = self.factor[torch.arange(len(self.mean), device=eps.device), largest]
        return torch.einsum("bk,kij,bj->bi", emotion, factor, eps)


def mixture(
    codes: torch.Tensor, variance: torch.Tensor, components: int
) -> list[tuple[float, torch.Tensor, torch.Tensor]]:
    """Codes of one class [n, d], mean variance of their posteriors [d] -> share, mean [d] and Cholesky factor [d, d] of
    each Gaussian that k-means started EM ends in; none for fewer than two.

    Covariances are shrunk towards that within all of them, the more the fewer samples one has (weight d / (n + d)).
    """
    if components < 2:
        return []
    from sklearn.mixture import GaussianMixture

    fitted = GaussianMixture(components, covariance_type="diag", reg_covar=1e-4, n_init=3, random_state=0)
    member = torch.from_numpy(fitted.fit_predict(codes.cpu().numpy())).to(codes.device)
    used = [m for m in range(components) if bool((member == m).any())]
    rests = {m: codes[member == m] - codes[member == m].mean(dim=0) for m in used}
    pooled = sum((rest.T @ rest for rest in rests.values()), torch.zeros_like(codes.T @ codes)) / len(codes)
    d, parts = codes.shape[1], []
    ridge = torch.diag(variance) + 1e-6 * torch.eye(d, dtype=codes.dtype, device=codes.device)
    for m, rest in rests.items():
        share = d / (len(rest) + d)
        covariance = share * pooled + (1.0 - share) * rest.T @ rest / len(rest) + ridge
        parts.append((len(rest) / len(codes), codes[member == m].mean(dim=0), torch.linalg.cholesky(covariance)))
    return parts


def residual_noise(
    squares: torch.Tensor, neighbours: torch.Tensor, valid: torch.Tensor, labels: torch.Tensor, n_classes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums over the valid columns of each sample (squares and products of neighbours [N, C, H], columns [N, 1]) and
    class indices [N] -> standard deviation of each class [K, C, H] and correlation at lag 1 [C, H].

    A class counts with its own columns and with as many of the whole as ten samples have.
    """
    pooled = squares.sum(dim=0) / valid.sum()
    prior = 10.0 * valid.mean()
    spread = [
        (squares[labels == k].sum(dim=0) + prior * pooled) / (valid[labels == k].sum() + prior)
        for k in range(n_classes)
    ]
    lag = (neighbours.sum(dim=0) / squares.sum(dim=0).clamp(min=1e-12)).clamp(-0.99, 0.99)
    return torch.stack(spread).sqrt().float(), lag.float()


def correlation_factor(products: torch.Tensor, n: int) -> torch.Tensor:
    """Sums of products of n residuals of every two columns [D, D] -> Cholesky factor [D, D] of their correlations,
    shrunk towards none, the more the fewer samples there are (weight D / (n + D))."""
    d = len(products)
    spread = products.diagonal().clamp(min=1e-12).sqrt()
    share = d / (n + d)
    mixed = (1.0 - share) * products / (spread[:, None] * spread[None, :])
    mixed.fill_diagonal_(1.0)
    return torch.linalg.cholesky(mixed).float()


def correlated(white: torch.Tensor, lag: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] white noise -> noise of the same variance whose neighbouring columns correlate by lag [C, H]."""
    columns = [white[..., 0]]
    for t in range(1, white.shape[-1]):
        columns.append(lag * columns[-1] + torch.sqrt(1.0 - lag.square()) * white[..., t])
    return torch.stack(columns, dim=-1)


def latent_density(
    mean: torch.Tensor, variance: torch.Tensor, labels: torch.Tensor, n_classes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Posterior means and variances [N, d], class indices [N] -> class means [K, d], Cholesky factors [K, d, d].

    A class' covariance is shrunk towards the pooled one, the more the fewer samples it has (weight d / (n + d)).
    """
    d = mean.shape[1]
    centres = torch.stack([mean[labels == k].mean(dim=0) for k in range(n_classes)])
    residual = mean - centres[labels]
    inner = torch.diag(variance.mean(dim=0))
    pooled = residual.T @ residual / max(1, len(mean) - n_classes) + inner
    factors = []
    for k in range(n_classes):
        own = residual[labels == k]
        n = len(own)
        covariance = own.T @ own / max(1, n - 1) + inner
        share = d / (n + d) if n > 1 else 1.0
        mixed = share * pooled + (1.0 - share) * covariance
        factors.append(torch.linalg.cholesky(mixed + 1e-6 * torch.eye(d, dtype=mixed.dtype, device=mixed.device)))
    return centres.float(), torch.stack(factors).float()
