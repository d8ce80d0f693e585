"""Section 4.2: what square integrability of the kernel gives, and what it does not."""

from __future__ import annotations

import math

import mpmath
import numpy as np
from scipy.integrate import quad
from scipy.special import erf

from nlmodel import NonlocalOperator
from nlmodel.assumptions import check_assumptions
from nlmodel.kernels import FunctionKernel, Gaussian, Power
from nlmodel.testing import tolerance
from validation import Ledger, Section, at_least, at_most, canvas, claim
from validation.claims.shared import exponent, local_laplacian, midpoints
from validation.photograph import patches


SECTION = Section(
    "4.2",
    "Nonlocal diffusion",
    r"With $W^n = I$ and $C_i = 1$ the proposed stage is forward Euler with step one for $z_t = \mathcal{L} z$ (16), where "
    r"$\mathcal{L} z(x) = \int_\Omega \rho(x, y) \, (z(y) - z(x)) \, dy$ (17) and $\rho(x, y) = \omega(u(x), u(y))$ (18). The "
    r"paper assumes $\iint |\rho|^2 < \infty$ (19) and concludes that $\mathcal{L}$ is a Hilbert–Schmidt operator, hence "
    r"bounded, hence that both directions of time are stable. On $n$ cells of width $h$ the operators of this section are "
    r"matrices $h\, \rho(x_i, x_j)$ on midpoints, written in the orthonormal basis of step functions, so that their "
    r"Frobenius norms are Hilbert–Schmidt norms.",
)
MESHES = (25, 50, 100, 200, 400, 800)
WIDTH = 0.3
TWO_SIDED = Power(1.0, 0.75, scaled=False)  # |x - y|^(-3/4): integrable, not square integrable
RANK_ONE = FunctionKernel(
    lambda X, Y: (X[..., :, None, 0] * Y[..., None, :, 0]) ** -0.25, symmetric=True, nonnegative=True
)


def on_interval(kernel, cells: int, normalize: str = "none") -> NonlocalOperator:
    """L of (17) on (0, 1): midpoints, each with the volume of its cell."""
    return NonlocalOperator.from_points(midpoints(cells), kernel, normalize, weights=1 / cells, storage="dense")


def frobenius(A: np.ndarray) -> float:
    """sum_ij A_ij^2."""
    return float(np.sum(A * A))


def averaging_norms(kernel, cells=MESHES) -> np.ndarray:
    """Squared Hilbert-Schmidt norm of T_rho on each mesh."""
    return np.array([frobenius(on_interval(kernel, n).averaging.to_dense()) for n in cells])


FINITE = r"$\lVert K \rVert_F < \infty$ (10)"


@claim(
    "C8",
    section=SECTION,
    paper="Tao et al. 2018, Secs 4.1-4.2, eqs (10), (19)",
    title="(10) implies (19)",
    statement=r"""
        Because the kernel matrix has a finite Frobenius norm (10), the kernel of the continuum is square integrable (19).
    """,
    formula=r"\lVert K \rVert_F^2 = \sum_{i,j} |\omega_{ij}|^2 < \infty \quad\Longrightarrow\quad "
    r"\iint |\rho(x, y)|^2 \, dx \, dy < \infty",
    assumptions=(FINITE,),
    proof=r"""
        Every finite matrix has a finite Frobenius norm: (10) holds for any kernel at any resolution, so nothing follows
        from it. With $\omega(a, b) = |a - b|^{-3/4}$, $u(x) = x$ and the pairs $i = j$, which contribute nothing to
        $\mathcal{L}$, set to zero, $n$ cells of width $h$ give
        $$h^2 \sum_{i,j} |\omega_{ij}|^2 = h^{1/2} \sum_{k=1}^{n-1} \frac{2(n-k)}{k^{3/2}} = 2\zeta(\tfrac32)\, h^{-1/2} - 8 +
          O(h^{1/2}),$$
        finite on every mesh and unbounded under refinement, as $\iint |x-y|^{-3/2}$ diverges.

        *What does imply (19)* is a bound that is uniform in the mesh. Let $\rho_h$ be the step function with values
        $\omega_{ij}$, and let $\rho_h \to \rho$ almost everywhere, as for a kernel that is continuous off a null set. If
        $\lVert \rho_h \rVert_{L^2}^2 = h^{2d} \sum_{ij} |\omega_{ij}|^2 \le c$ for all $h$, Fatou's lemma gives
        $\iint |\rho|^2 \le c$.
    """,
)
def c8(ledger: Ledger) -> None:
    singular, smooth = averaging_norms(TWO_SIDED), averaging_norms(Gaussian(WIDTH))
    ledger.witness(
        r"$\rho = |x-y|^{-3/4}$ on $(0, 1)$: the exponent $p$ in $h^2 \sum |\omega_{ij}|^2 \sim h^p$, which (19) makes $0$",
        satisfies={FINITE: bool(np.all(np.isfinite(singular)))},
        violates=at_least(exponent(MESHES, singular), -0.05),
        data={"cells": np.array(MESHES), "squared norms": singular},
        controls={"Gaussian kernel": at_least(exponent(MESHES, smooth), -0.05)},
        note=r"The exponent tends to $-\tfrac12$; on these meshes the constant $-8$ is still felt.",
    )
    ledger.headline(r"exponent of $h^2 \sum |\omega_{ij}|^2$ in $h$", exponent(MESHES, singular))

    uniform = ledger.under(
        r"$h^{2d} \sum_{ij} |\omega_{ij}|^2$ bounded uniformly in the mesh, $\rho$ continuous off a null set"
    )
    n = MESHES[-1]
    report = check_assumptions(TWO_SIDED(midpoints(n)), weights=np.full(n, 1 / n))
    uniform.equals(
        "the norm that `check_assumptions` reports for the singular kernel, squared, against its closed form",
        np.array(report.hilbert_schmidt**2),
        np.array(_power_sum(n)),
        tolerance("reduction", n=n, scale=float(_power_sum(n))),
        controls={"without the cell volumes": np.array(frobenius(TWO_SIDED(midpoints(n))))},
        note="This is the number to watch under refinement.",
    )
    exact = _gaussian_norm(WIDTH)
    uniform.order(
        r"Gaussian kernel: $h^2 \sum |\omega_{ij}|^2 \to \iint \rho^2$",
        1 / np.array(MESHES),
        np.abs(smooth - exact),
        2.0,
        controls={"the singular kernel": np.abs(singular - exact)},
    )
    product = averaging_norms(RANK_ONE)
    uniform.order(
        r"$\rho = (xy)^{-1/4}$, unbounded but square integrable: the limit is $\iint \rho^2 = 4$",
        1 / np.array(MESHES),
        np.abs(product - 4.0),
        0.5,
        controls={"the singular kernel": np.abs(singular - 4.0)},
    )


def _power_sum(cells: int) -> float:
    """h^(1/2) sum_k 2 (n - k) k^(-3/2), by Hurwitz zeta functions at 50 digits."""
    with mpmath.workdps(50):
        n = mpmath.mpf(cells)
        partial = [mpmath.zeta(s) - mpmath.zeta(s, n) for s in (mpmath.mpf(3) / 2, mpmath.mpf(1) / 2)]
        return float(2 * (n * partial[0] - partial[1]) / mpmath.sqrt(n))


def _gaussian_norm(width: float) -> float:
    """Integral of exp(-(x-y)^2 / width^2) over the unit square."""
    a = 1 / width
    return math.sqrt(math.pi) / a * math.erf(a) - (1 - math.exp(-a * a)) / a**2


SQUARE_INTEGRABLE = r"$\iint |\rho|^2 < \infty$ (19)"


@claim(
    "C9",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.2, after eq. (19)",
    title=r"$\mathcal{L}$ is Hilbert–Schmidt",
    statement=r"With (19) the operator $\mathcal{L}$ of (17) is a Hilbert–Schmidt operator.",
    formula=r"\iint |\rho(x, y)|^2 \, dx \, dy < \infty \quad\Longrightarrow\quad \lVert \mathcal{L} \rVert_{HS} < \infty",
    assumptions=(SQUARE_INTEGRABLE,),
    proof=r"""
        Write $\mathcal{L} = T_\rho - M_\sigma$ with $T_\rho z(x) = \int \rho(x, y)\, z(y) \, dy$ and the multiplication
        operator $M_\sigma z = \sigma z$, $\sigma(x) = \int \rho(x, y) \, dy$. Under (19) $T_\rho$ is Hilbert–Schmidt with
        $\lVert T_\rho \rVert_{HS} = \lVert \rho \rVert_{L^2}$. But $M_\sigma$ is not even compact unless $\sigma = 0$ almost
        everywhere: on the infinite-dimensional space of functions supported where $|\sigma| \ge \varepsilon$ it is bounded
        below by $\varepsilon$. For $\rho \ge 0$ this means that $\mathcal{L}$ is Hilbert–Schmidt only if $\rho = 0$. On
        meshes, $\lVert \mathcal{L}_h \rVert_F^2 = h^{-1} \left( \int \sigma^2 + O(h) \right)$.

        *What is true.* $\mathcal{L}$ is a compact perturbation of $-M_\sigma$. By Weyl's theorem its essential spectrum is
        minus the essential range of $\sigma$, and $\{-1\}$ when $C_i = 1$. The eigenvalues of $\mathcal{L}_h$ therefore cluster
        at $-\sigma$: no more than $\lVert \rho \rVert^2 / \varepsilon^2$ of them, whatever the mesh, lie farther than
        $\varepsilon$ from $[-\max\sigma, -\min\sigma]$, because $\lambda_k(\mathcal{L}_h) \le -\min\sigma +
        \lambda_k(T_h)$, the same from below, and $\sum_k \lambda_k(T_h)^2 = \lVert T_h \rVert_F^2$. Modes in the cluster
        decay like $e^{-\sigma t}$ and no faster, however oscillatory: see P6.

        *An exact case.* For features with normal law $N(0, s^2)$ and a Gaussian kernel of width $b$, row-normalised,
        $K$ has the eigenvalues $r^k$, $r = s^2/(s^2+b^2)$, $k = 0, 1, 2, \dots$, with Hermite polynomials as eigenfunctions
        (Mehler), so that $\mathcal{L}$ has the eigenvalues $r^k - 1$, which accumulate at $-1$.
    """,
)
def c9(ledger: Ledger) -> None:
    operators = [on_interval(Gaussian(WIDTH), n) for n in MESHES]
    full = np.array([frobenius(op.to_dense()) for op in operators])
    integral = averaging_norms(Gaussian(WIDTH))
    bound = _gaussian_norm(WIDTH)
    ledger.witness(
        r"Gaussian kernel on $(0, 1)$: the exponent $p$ in $\lVert \mathcal{L}_h \rVert_{HS}^2 \sim h^p$, claimed to be $0$",
        satisfies={SQUARE_INTEGRABLE: at_most(abs(integral[-1] - bound), 1 / MESHES[-1])},
        violates=at_least(exponent(MESHES, full), -0.05),
        data={"cells": np.array(MESHES), "squared norms of L": full, "squared norms of T": integral},
        controls={r"$T_\rho$ alone": at_least(exponent(MESHES, integral), -0.05)},
    )
    ledger.headline(r"exponent of $\lVert \mathcal{L}_h \rVert_{HS}^2$ in $h$", exponent(MESHES, full))

    cluster = ledger.instead(
        r"$\mathcal{L}$ is a Hilbert–Schmidt perturbation of $-M_\sigma$; eigenvalues cluster at $-\sigma$"
    )
    mass = quad(lambda x: sigma(x) ** 2, 0, 1)[0]
    cluster.order(
        r"$h\, \lVert \mathcal{L}_h \rVert_F^2 \to \int \sigma^2$",
        1 / np.array(MESHES),
        np.abs(full / MESHES - mass),
        1.0,
        controls={r"the same for $T_\rho$, which tends to $0$": np.abs(integral / MESHES - mass)},
    )
    spectra = {op.size: np.linalg.eigvalsh(op.to_dense()) for op in operators}
    low, high = sigma(0.0), sigma(0.5)
    gap = 0.1
    cluster.evidence(
        rf"eigenvalues farther than {gap} from $[-\max \sigma, -\min \sigma]$, at most on any mesh",
        lambda families: max(np.sum((v < -high - gap) | (v > -low + gap)) for v in families),
        of=list(spectra.values()),
        at_most=bound / gap**2,
        controls={"local Laplacian": [np.linalg.eigvalsh(local_laplacian(n)) for n in MESHES]},
    )
    x = midpoints(MESHES[-1])[:, 0]
    cluster.evidence(
        r"distance between the distribution of the eigenvalues of $-\mathcal{L}_h$ and that of $\sigma(x)$, 800 cells",
        lambda values: kolmogorov(-spectra[MESHES[-1]], values),
        of=sigma(x),
        at_most=0.02,
        controls={r"the mean of $\sigma$ in place of $\sigma$": np.full(len(x), sigma(x).mean())},
        note=r"A perturbation of rank $k$ moves the distribution by at most $k/n$; $T_\rho$ is within rounding of a matrix of "
        r"rank 14, which is 0.0175 of 800.",
    )
    _mehler(ledger, cluster)
    _photograph(ledger, cluster)
    ledger.figure(
        "clusters",
        lambda: draw({n: spectra[n] for n in MESHES[:-1]}),
        r"Eigenvalues of $\mathcal{L}_h$ under refinement, Gaussian kernel on $(0, 1)$. Left: as it is; they fill the interval "
        r"$[-\max \sigma, -\min \sigma]$. Right: with $C_i = 1$; they accumulate at $-1$.",
    )


def sigma(x):
    """Integral of exp(-(x-y)^2 / (2 WIDTH^2)) over y in (0, 1)."""
    a = math.sqrt(2) * WIDTH
    return WIDTH * math.sqrt(math.pi / 2) * (erf((1 - x) / a) + erf(x / a))


def kolmogorov(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference of the empirical distribution functions."""
    at = np.concatenate([a, b])
    return max(
        float(np.max(np.abs(np.searchsorted(np.sort(a), at, side) - np.searchsorted(np.sort(b), at, side)))) / len(a)
        for side in ("left", "right")
    )


def _mehler(ledger: Ledger, cluster) -> None:
    """Normal features by Gauss-Hermite quadrature: the spectrum is known exactly."""
    s, b, modes = 1.3, 0.9, 16
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    op = NonlocalOperator.from_points(s * nodes[:, None], Gaussian(b), "row", weights=weights / weights.sum())
    values = np.linalg.eigvalsh(op.symmetrized().to_dense())[::-1]
    r = s**2 / (s**2 + b**2)
    oracle = np.array([float(mpmath.mpf(r) ** k - 1) for k in range(modes)])
    cluster.equals(
        r"normal features, eigenvalues of $\mathcal{L}$ against $r^k - 1$",
        values[:modes] - 1,
        oracle,
        tolerance("solve", n=80),
        controls={
            r"without normalisation": np.linalg.eigvalsh(
                NonlocalOperator.from_points(s * nodes[:, None], Gaussian(b), "none", weights=weights / weights.sum())
                .symmetrized()
                .to_dense()
            )[::-1][:modes]
            - 1
        },
    )


def _photograph(ledger: Ledger, cluster) -> None:
    strides = (80, 40, ledger.size(20, 28))
    shares = []
    for stride in strides:
        op = NonlocalOperator.from_points(patches(stride=stride), Gaussian(7.0), "row")
        values = np.linalg.eigvalsh(op.symmetrized().to_dense()) - 1
        shares.append(float(np.mean(np.abs(values + 1) <= 0.01)))
    cluster.evidence(
        f"share of eigenvalues within 0.01 of $-1$, {len(patches(stride=strides[-1]))} patches of a photograph",
        shares[-1],
        at_least=0.95,
        controls={f"only {len(patches(stride=80))} patches": shares[0]},
    )


def draw(spectra: dict[int, np.ndarray]):
    figure, panels = canvas(1, 2, height=2.7)
    unit = {n: np.linalg.eigvalsh(on_interval(Gaussian(WIDTH), n, "row").symmetrized().to_dense()) - 1 for n in spectra}
    for axes, family in zip(panels, (spectra, unit), strict=True):
        for level, (n, values) in enumerate(family.items()):
            axes.plot(values, np.full(n, level), "|", markersize=9, markeredgewidth=0.7, color="C0")
        axes.set(xlabel=r"eigenvalue of $\mathcal{L}_h$", yticks=range(len(family)), yticklabels=family)
    panels[0].axvspan(-sigma(0.5), -sigma(0.0), color="C1", alpha=0.2, linewidth=0)
    panels[0].set(ylabel="cells", title=r"$C_i = \sigma(x_i)$")
    panels[1].axvline(-1, color="C1", linewidth=0.8, alpha=0.6)
    panels[1].set(title="$C_i = 1$")
    return figure
