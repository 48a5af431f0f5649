r"""The ledger: what the paper claims, what we ask in addition, and identities that verify the code.

A line has an id (a letter for its group, a number), its place in the paper, the statement, one criterion or more, and its
kind, the paper's where none is named. The statement of the paper's lines is the paper's; a bound follows from the rate of
its theorem, or the criterion is a line of ours. A criterion asks that a measured number lie between two bounds, both
included; without bounds there is nothing to compare with, and the value is reported as it is. A bound is committed before
the chapter that measures the number; `demod_book.claims.history` tells where it was not. Texts are Markdown with $TeX$ and
hold no vertical bar, which ends a cell of a table: norms are \lVert x \rVert.
"""

from demod_book.claims.judge import Claim, Criterion, Kind

GROUPS = {
    "M": "The model",
    "F": "Figure 1",
    "L": "The landscape",
    "W": "The distribution conditions",
    "S": "Sample complexity",
    "A": "Algorithm 1",
    "I": "Images",
}


def _branches(*, one: str, both: str) -> tuple[Criterion, ...]:
    """Return what is asked of the three spurious branches of Figure 1: that they are where the theory puts them."""
    return (
        Criterion("widths", "widths in the fit", low=3),
        Criterion("networks", "networks at each width", low=400),
        Criterion("h", rf"branch $(-\rho_d h_0, m_0)$, extrapolated linearly in 1/width; theory {one}"),
        Criterion("h_deviation", "its distance from the theory, in standard errors", high=3),
        Criterion("m", rf"branch $(h_0, -\rho_s m_0)$, extrapolated; theory {one}"),
        Criterion("m_deviation", "its distance from the theory, in standard errors", high=3),
        Criterion("both", rf"branch $(-\rho_d h_0, -\rho_s m_0)$, extrapolated; theory {both}"),
        Criterion("both_deviation", "its distance from the theory, in standard errors", high=3),
    )


_CLAIMS = (
    # The model
    Claim(
        "M1",
        "Section 1, after (1); Section 1.1, after (2)",
        r"Scaling ambiguity: every point of $\{(c\,h_0, \frac1c m_0) : c > 0\}$ is a global optimum of (2), because "
        r"$f(c\,h, m/c) = f(h, m)$.",
        (
            Criterion(
                "relu",
                r"largest $\lvert f(c\,h, m/c) - f(h, m) \rvert / \lVert y_0 \rVert^2$ of ReLU networks, $c$ from "
                r"$10^{-3}$ to $10^3$",
                high=1e-12,
            ),
        ),
        Kind.IDENTITY,
    ),
    Claim(
        "M2",
        "Section 1, after (1)",
        "This structural ambiguity can be solved by assuming a prior model of the unknown vectors: of all factorisations "
        r"of $y_0$, the ranges of $G_1$ and $G_2$ hold one, up to the scaling ambiguity.",
        (
            Criterion(
                "solutions",
                r"points found with $\sqrt{2f} \le 10^{-10} \lVert y_0 \rVert$, from random starts, $n = p = 5$, $\ell "
                "= 400$",
                low=1000,
            ),
            Criterion("networks", "pairs of networks, each with planted codes of its own", low=50),
            Criterion(
                "others",
                r"of these points, those with $\lVert h m^\top - h_0 m_0^\top \rVert > 10^{-6} \lVert h_0 m_0^\top \rVert$",
                high=0,
            ),
        ),
    ),
    Claim(
        "M3",
        "Section 1.1, after (2)",
        "Clearly, the objective function in (2) is non-convex.",
        (Criterion("negative", "random points at which the Hessian of (2) has a negative eigenvalue", low=1),),
    ),
    Claim(
        "M4",
        "Section 1, after (1)",
        "A trained generator, which the paper's statement does not cover, breaks the scaling ambiguity.",
        (
            Criterion(
                "dcgan",
                r"the digit generator: median relative distance of $G_1(2h)$ from the nearest multiple of $G_1(h)$ (0 for a "
                "ReLU network)",
            ),
        ),
        Kind.OURS,
    ),
    Claim(
        "M5",
        "Section 1, after (1)",
        r"The trivial factor $\mathbf{1}$ of $(\mathbf{1}, w_0 \odot x_0)$ is far from the range of $G_1$. (A bound of "
        r".1 was set at first, which tells nothing: the output of a wide random network is $\sqrt{1 - 1/\pi} = .83$ "
        r"away from $\mathbf{1}$.)",
        (
            Criterion(
                "found",
                r"$n = 5$: relative distance from $\mathbf{1}$ of the closest point of the range of $G_1$ that a "
                r"search finds",
            ),
            Criterion(
                "certified",
                r"$n = 2$: lower bound of the relative distance of $\mathbf{1}$ from the range of $G_1$, by a grid and "
                r"a Lipschitz constant",
            ),
        ),
        Kind.OURS,
    ),
    Claim(
        "M6",
        "Section 1.1, after (2)",
        "The objective function (2) curves downwards somewhere at nearly every point.",
        (Criterion("share", "share of random points at which the Hessian of (2) has a negative eigenvalue", low=0.9),),
        Kind.OURS,
    ),
    # Figure 1
    Claim(
        "F1",
        "Figure 1; Theorem 1",
        r"For $n = p = 1$ and $d = s = 2$ there are four hyperbolic branches, at $\lvert hm \rvert = 1, \rho_2, "
        r"\rho_2, \rho_2^2$ with $\rho_2 = 1/\pi$.",
        _branches(one=".3183", both=".1013"),
    ),
    Claim(
        "F2",
        "Figure 1; Section 2, second observation",
        "The curve of the planted codes corresponds to the global minimiser: of the four branches it is the lowest.",
        (
            Criterion("networks", "pairs of networks", low=1200),
            Criterion("failing", "those in which another branch is as low", high=0),
        ),
    ),
    Claim(
        "F3",
        "Section 1.1, after (3); Section 2, first observation",
        r"$\rho_d$ and $\rho_s$ are positive constants close to 1. (We take .9 for close.)",
        (Criterion("close_to_one", r"$\rho_2$, the constant of Figure 1", low=0.9),),
    ),
    Claim(
        "F4",
        "Theorems 1 to 3",
        r"$\rho_d$ and $\rho_s$ converge to 1 as $d \to \infty$ and $s \to \infty$.",
        (Criterion("limit", r"$1 - \rho_{1000}$", high=1e-4),),
    ),
    Claim(
        "F5",
        "Theorem 3",
        r"The sum that defines $\rho_d$ is $\cos\check\theta_d$.",
        (
            Criterion(
                "rho_error",
                r"largest deviation of the sum that defines $\rho_d$ from $\cos\check\theta_d$, $d = 2 \ldots 10$",
                high=1e-6,
            ),
        ),
        Kind.IDENTITY,
    ),
    Claim(
        "F6",
        "Figure 1",
        r"The branch of the planted codes is at $\lvert hm \rvert = 1$, with the height 0.",
        (
            Criterion("product", r"largest deviation of $\lvert hm \rvert$ from 1", high=1e-9),
            Criterion("height", r"largest height, in units of $\frac12 \lVert y_0 \rVert^2$", high=1e-9),
        ),
        Kind.IDENTITY,
    ),
    Claim(
        "F7",
        "Section 2, second observation",
        r"In units of $\frac12 \lVert y_0 \rVert^2$ the heights of the other three branches are $1 - \rho_2^2$, $1 - "
        r"\rho_2^2$ and $1 - \rho_2^4$.",
        _branches(one=".8987", both=".9897"),
        Kind.OURS,
    ),
    # The landscape
    Claim(
        "L1",
        "Theorems 1 to 3",
        "There does not exist any other stationary point outside of these neighbourhoods of four hyperbolic curves and "
        r"the set of local maximisers, and the neighbourhoods shrink like $\epsilon^{1/4}$. (The widths are $n \to N "
        r"\to N^2/8$, so that all expansions grow and $\epsilon$ falls like $N^{-1/2}$, the radius at least like "
        "$N^{-1/8}$.)",
        (
            Criterion("descents", "descents, from everywhere and without the sign check", low=1000),
            Criterion("gradient", "largest scaled gradient at their ends", high=1e-8),
            Criterion(
                "radius_ratio",
                r"smallest factor by which the radius $r$ that holds the ends falls when $N$ grows fourfold; the theorem's "
                "rate is $4^{1/8}$",
                low=1.189,
            ),
        ),
    ),
    Claim(
        "L2",
        "Theorems 2 and 3",
        r"For $(h, m) \notin \mathcal{A} \cup \mathcal{K}$ the one-sided directional derivative of $f$ in the direction "
        "of $g = g_1$ or $g = g_2$ of (4) satisfies $D_{-g} f(h, m) < 0$. (Random points with the distance (3) above "
        r"$\frac12$ from all four curves, a pair of networks for each.)",
        (
            Criterion("smooth_points", "points where $f$ is differentiable", low=2000),
            Criterion("smooth_failing", "those at which neither direction leads down", high=0),
            Criterion("kink_points", "points at kinks of both networks", low=2000),
            Criterion("kink_failing", "those at which neither direction leads down", high=0),
        ),
    ),
    Claim(
        "L3",
        "Section 1.1, after (3); Theorems 1 to 3",
        r"The points in the set $\{(h, 0)\} \cup \{(0, m)\}$ are local maximisers (not strict ones; for $d, s \ge 2$): "
        r"off it $f$ falls at first order, $\langle y_0, w \odot x \rangle > 0$.",
        (
            Criterion("pairs", "pairs of networks", low=50),
            Criterion("directions", "directions in which a point of the set is left", low=10_000),
            Criterion("failing", r"those with $\langle y_0, w \odot x \rangle \le 0$ although $w \odot x \ne 0$", high=0),
            Criterion("depth_one", "counter-check at $d = s = 1$, where the claim is not made: those that fail", low=1),
        ),
    ),
    Claim(
        "L4",
        "Theorem 1 against Theorems 2 and 3",
        r"$\mathcal{A}_{\epsilon, (\rho_s h_0, -m_0)}$ and $\mathcal{A}_{\epsilon, (h_0, -\rho_s m_0)}$ are the same "
        r"set, and so are the two notations of the fourth.",
        (
            Criterion(
                "difference", "largest difference of the relative distances to the curves in both notations", high=1e-12
            ),
        ),
        Kind.IDENTITY,
    ),
    Claim(
        "L5",
        "Section 1.1, after Theorem 1; Section 2, second observation",
        r"$f(c\,h_0, \frac1c m_0)$ is less than $f$ at the three points with flipped signs, for any $c > 0$, and points "
        "near the global curve have a lower objective value than points that are close to the three spurious ones. "
        "(Each code is off its curve by a random vector of a tenth of its length.)",
        (
            Criterion("networks", "pairs of networks", low=100),
            Criterion("flipped", "those in which a flipped point is as low as a point of the curve", high=0),
            Criterion(
                "failing", "those in which a point near a spurious curve is as low as one near the global curve", high=0
            ),
        ),
    ),
    Claim(
        "L6",
        "Section 3, outline of the proof; (10), (11)",
        "The one-sided partial directional derivatives of $f$ concentrate uniformly for all non-zero $h$, $h_0$ and "
        "$m$, $m_0$ around continuous vectors $t^{(1)}$ and $t^{(2)}$.",
        (
            Criterion(
                "slope",
                r"slope of the largest $\lVert \nabla f - t \rVert$ of many codes on one pair of networks, in $\ell$, inner "
                "widths scaled along, both logarithmic; codes of norm 1, in units of $\\alpha / (2^{d+s} \\ell)$",
                high=0,
            ),
        ),
    ),
    Claim(
        "L7",
        "Section 1.1, after Theorem 1",
        "A gradient descent algorithm will converge to a point inside the four neighbourhoods. However, it may not "
        "guarantee convergence to a global minimiser.",
        (Criterion("elsewhere", "descents without the sign check that end at another local minimiser", low=1),),
    ),
    Claim(
        "L8",
        "Theorems 2 and 3",
        r"The radii of the neighbourhoods are at most of the order of $\epsilon^{1/4}$.",
        (
            Criterion(
                "exponent",
                r"exponent of the measured radius in the measured $\epsilon$, the largest found of all conditions of "
                "all layers",
                low=0.25,
            ),
        ),
    ),
    Claim(
        "L9",
        "Theorems 1 to 3",
        r"The radius falls by more than half when the networks grow sixteenfold: by 1.5 for a fourfold $N$.",
        (
            Criterion(
                "radius_ratio",
                r"smallest factor by which the radius $r$ that holds the ends falls when $N$ grows fourfold",
                low=1.5,
            ),
        ),
        Kind.OURS,
    ),
    Claim(
        "L10",
        "Theorems 2 and 3",
        "The radii grow with the depth at most like $d^3 s^3$ to $d^8 s^8$. (Relative distances do not exceed 1, so "
        "that no measurement can contradict.)",
        (Criterion("depth", "exponent of the measured radius in the depth $d = s$"),),
    ),
    Claim(
        "L11",
        "Theorem 2",
        r"On one event, so for one pair of networks, the conclusion holds for all planted codes $h_0, m_0 \ne 0$ and "
        r"all $(h, m) \notin \mathcal{A} \cup \mathcal{K}$. (Random codes, points at kinks and others, with the "
        r"distance (3) above $\frac12$.)",
        (
            Criterion("pairs", "pairs of networks", low=2),
            Criterion("points", "points, each with planted codes of its own, on the pair that has fewest", low=1000),
            Criterion("failing", "those at which neither direction leads down", high=0),
        ),
    ),
    Claim(
        "L12",
        "Section 3, after (4)",
        r"$D_{-g} f$ is $-\lVert g \rVert^2$ where $f$ is differentiable, and $-\langle g', g \rangle$ at a kink, with "
        "the limit $g'$ of the gradient along $-g$.",
        (
            Criterion(
                "smooth",
                r"differentiable points: largest relative deviation of difference quotients from $-\lVert g \rVert^2$",
                high=1e-5,
            ),
            Criterion("kinks", r"kinks: the same from $-\langle g', g \rangle$", high=1e-5),
        ),
        Kind.IDENTITY,
    ),
    Claim(
        "L13",
        "Theorems 2 and 3",
        "At a kink each of the two directions leads down.",
        (
            Criterion(
                "not_descending",
                r"share of the kinks of L2 at which $D_{-g} f \ge 0$ for $g_1$ or for $g_2$",
            ),
        ),
        Kind.OURS,
    ),
    Claim(
        "L14",
        "Section 1.1, after (3); Theorems 1 to 3",
        r"$f$ does not rise off $\mathcal{K}$ as long as $\lVert h \rVert \lVert m \rVert \le \rho_d \rho_s \lVert h_0 "
        r"\rVert \lVert m_0 \rVert$, which holds for infinitely wide networks.",
        (
            Criterion("pairs", "pairs of networks", low=50),
            Criterion("steps", r"steps off $\mathcal{K}$ of at most this product of norms", low=10_000),
            Criterion("increases", "those that increase $f$", high=0),
        ),
        Kind.OURS,
    ),
    Claim(
        "L15",
        "Section 2, second observation",
        r"At $\lVert h \rVert \lVert m \rVert = \lVert h_0 \rVert \lVert m_0 \rVert$ the height $f / (\frac12 \lVert "
        r"y_0 \rVert^2)$ is $2(1 - \kappa)$. (The bound was set before, that it is one on the median, after it was "
        "first measured.)",
        (
            Criterion("height", r"$\ell = 16\,000$: median relative deviation", high=0.1),
            Criterion("height_worst", "the largest deviation of a single point"),
        ),
        Kind.OURS,
    ),
    Claim(
        "L16",
        "Section 3, outline of the proof; (10), (11)",
        r"The typical distance of the gradient from $t$ falls like $\ell^{-1/2}$.",
        (
            Criterion(
                "slope",
                r"slope of the median $\lVert \nabla f - t \rVert / \lVert t \rVert$ in $\ell$, inner widths scaled "
                r"along, both logarithmic",
                low=-0.65,
                high=-0.35,
            ),
        ),
        Kind.OURS,
    ),
    Claim(
        "L17",
        "Section 1.1, after Theorem 1",
        r"For $n, p \ge 2$ the spurious curves lose their minimisers as the networks grow wider.",
        (
            Criterion(
                "stuck",
                r"share of descents without the sign check that end at a spurious curve, the widest networks, $n = p = 2$",
            ),
            Criterion("trend", "slope of the logarithm of that share in the logarithm of the width", high=0),
        ),
        Kind.OURS,
    ),
    Claim(
        "L18",
        "Section 1.1, after Theorem 1",
        "What holds descents near a spurious curve are ripples from the kinks, of the size $N^{-1/2}$, at a distance "
        "of the order $N^{-1/4}$ ($n = 2$, $m = m_0$, $h$ turns; bounds set after a pilot).",
        (
            Criterion("basins", "slope of the share of the circle that drains into ripples, in $N$", low=-0.65, high=-0.35),
            Criterion("distance", "slope of the turn of $h$ at which the ripples are, in $N$", low=-0.4, high=-0.1),
        ),
        Kind.OURS,
    ),
    Claim(
        "L19",
        "Section 1.3",
        "Hand and Voroninski: every point outside of a small neighbourhood around the true solution and a negative "
        "multiple of the true solution has a descent direction. (One generator, $n = 2$, the modulator known up to its "
        "scale; widths as in L1, and the rate of Theorem 2.)",
        (
            Criterion("descents", "descents, from everywhere", low=300),
            Criterion("gradient", "largest scaled gradient at their ends", high=1e-8),
            Criterion(
                "radius_ratio",
                "factor by which the radius that holds the ends off the true solution falls when $N$ grows fourfold",
                low=1.189,
            ),
        ),
    ),
    # The distribution conditions
    Claim(
        "W1",
        "Section 3, after (5)",
        r"If $w_i \sim \mathcal{N}(0, \frac1\ell I_n)$ for all $i$, the expectation of the Gram matrix in (5) is $Q_{x,y}$.",
        (
            Criterion(
                "slope",
                r"slope of the deviation of the average from $Q_{x,y}$ in the number of rows, both logarithmic",
                low=-0.6,
                high=-0.4,
            ),
        ),
    ),
    Claim(
        "W2",
        "Section 3, after (5)",
        r"If $W$ satisfies the WDC with constants $\epsilon$ and $\alpha$, then $W/\sqrt\alpha$ satisfies it with "
        r"$\epsilon/\alpha$ and 1.",
        (Criterion("difference", r"largest relative difference of the two sides", high=1e-12),),
        kind=Kind.IDENTITY,
    ),
    Claim(
        "W3",
        "Section 3, (5) and outline of the proof; Theorem 2, A2",
        r"Gaussian matrices with appropriate dimensions satisfy the WDC: the constant of A2 depends polynomially on "
        r"$\epsilon^{-1}$, so that $\epsilon$ falls at least like a power of the expansion. How fast, the paper does not "
        r"say; a lower bound of $-0.6$ that stood here has become a line of ours.",
        (
            Criterion("slope", r"slope of the searched $\hat\epsilon$ in the expansion, both logarithmic", high=-0.4),
            Criterion("largest", r"largest searched $\hat\epsilon$ at the largest expansion"),
        ),
    ),
    Claim(
        "W4",
        "Section 3, (6), (7) and outline of the proof; Theorem 2, A3",
        r"Truncated Gaussian matrices with appropriate dimensions satisfy the joint-WDC: the constant of A3 depends "
        r"polynomially on $\epsilon^{-1}$, so that $\epsilon$ falls at least like a power of the expansion. How fast, the "
        r"paper does not say; a lower bound of $-0.6$ that stood here has become a line of ours.",
        (
            Criterion(
                "slope",
                r"slope of the searched $\hat\epsilon$ in the expansion, at 160 and more, both logarithmic",
                high=-0.4,
            ),
            Criterion("slope_below", "slope at smaller expansions, where the tails are heavier"),
            Criterion("largest", r"largest searched $\hat\epsilon$ at the largest expansion"),
        ),
    ),
    Claim(
        "W5",
        "Theorem 2; Section 3, after (7)",
        r"The truncated rows of the last layers have the constant $\alpha = P(\chi^2_{n+2} \le 9n) \le 1$.",
        (
            Criterion(
                "deviation",
                r"largest distance of the estimated $\alpha$ from $P(\chi^2_{n+2} \le 9n)$, in standard errors",
                high=3,
            ),
        ),
        kind=Kind.IDENTITY,
    ),
    Claim(
        "W6",
        "Section 1.1, after A3",
        "In essence, we only require approximate Gaussian matrices. (The margin of 10 points is ours.)",
        (
            Criterion(
                "uniform",
                "success of Algorithm 1 minus that on Gaussian weights, in percentage points, the codes and starts the "
                "same: uniform weights",
                low=-10,
                high=10,
            ),
            Criterion("rademacher", "the same: random signs", low=-10, high=10),
            Criterion("student", "the same: Student's $t_5$", low=-10, high=10),
            Criterion("orthogonal", "the same: orthogonal columns", low=-10, high=10),
        ),
    ),
    Claim(
        "W7",
        "Section 1.1, after A3",
        "Random weights are consistent with networks that provably can be trained, whose final weights are close to "
        "their random initialisation.",
        (
            Criterion(
                "change", r"largest $\lVert W_T - W_0 \rVert / \lVert W_0 \rVert$ over the layers of a trained generator"
            ),
            Criterion("before", r"largest searched $\hat\epsilon/\alpha$ over the layers before training"),
            Criterion("after", "the same after training"),
        ),
    ),
    Claim(
        "W8",
        "Theorem 2",
        r"If $K_1 (d^7 s^2 + d^2 s^7)\, \epsilon^{1/4} < 1$ and the networks are expansive, the landscape is benign "
        r"with high probability. (The paper does not print $K_1$.)",
        (
            Criterion(
                "epsilon",
                r"the $\epsilon$ that the hypothesis requires at $d = s = 2$ and $K_1 = 1$, over the smallest "
                r"$\hat\epsilon$ measured",
                high=1,
            ),
            Criterion(
                "probability",
                r"largest lower bound of the probability among the tabulated networks, with $\tilde c = \gamma = 1$",
            ),
            Criterion(
                "K1", r"the $K_1$ up to which the hypothesis would admit that $\hat\epsilon$, where the verdict flips"
            ),
        ),
        vacuous_if_held=True,
    ),
    Claim(
        "W9",
        "Section 3, after (5)",
        r"If $x = y$, then $Q_{x,y}$ is an isometry up to a factor of $1/2$.",
        (Criterion("isometry", r"largest entry of $Q_{x,x} - I/2$", high=1e-12),),
        kind=Kind.IDENTITY,
    ),
    Claim(
        "W10",
        "Theorem 2, A2",
        r"The constant of the WDC falls like the inverse root of the expansion, as averages do.",
        (
            Criterion(
                "slope", r"slope of the searched $\hat\epsilon$ in the expansion, both logarithmic", low=-0.6, high=-0.4
            ),
        ),
        kind=Kind.OURS,
    ),
    Claim(
        "W11",
        "Theorem 2, A3",
        r"The constant of the joint-WDC falls like the inverse root of the expansion from 160 on.",
        (
            Criterion(
                "slope",
                r"slope of the searched $\hat\epsilon$ in the expansion, at 160 and more, both logarithmic",
                low=-0.6,
                high=-0.4,
            ),
        ),
        kind=Kind.OURS,
    ),
    Claim(
        "W12",
        "Algorithm 1, line 3",
        "On trained ReLU priors line 3 does what it is for: with it, descents from starts on the wrong side end as they do "
        "from the right side; without it, most diverge.",
        (
            Criterion("worse", "largest loss of PSNR of an image, in dB, from mirrored starts with the check", high=1),
            Criterion("diverged", "share of descents from mirrored starts that diverge without the check", low=0.5),
        ),
        kind=Kind.OURS,
    ),
    Claim(
        "W13",
        "Section 1.1, A2",
        r"Constant expansion suffices for the WDC: A2's logarithm is not needed. If it were, $\hat\epsilon$ would grow like "
        r"$\sqrt{\log n}$ at a fixed $n_1/n$, with a slope of .18 and more.",
        (
            Criterion(
                "slope",
                r"slope of the searched $\hat\epsilon$ of the first layer in $n$ at $n_1/n = 10$, both logarithmic",
                high=0.1,
            ),
        ),
        kind=Kind.OURS,
    ),
    Claim(
        "W14",
        r"Section 1.1, $n = n_0 < n_1 < \dots < n_d = \ell$",
        "The order of the hidden widths matters little: networks that narrow after the first layer are recovered about as "
        "often as those that widen.",
        (
            Criterion(
                "contractive",
                r"success of Algorithm 1 on networks $n, 20n, 10n, \ell$ minus that on $n, 10n, 20n, \ell$, in percentage "
                "points, the codes and starts the same",
                low=-10,
            ),
        ),
        kind=Kind.OURS,
    ),
    Claim(
        "W15",
        r"Section 3, (5)",
        r"A layer that narrows cannot satisfy the WDC; where the network sees it, the constant is several times smaller.",
        (
            Criterion("all", r"smallest searched $\hat\epsilon$ of a layer $20n \to 10n$; from $1/2$ on (5) says nothing"),
            Criterion(
                "seen",
                r"largest norm of (5) on the span of two pieces of the first layer, over random pairs of codes",
            ),
        ),
        kind=Kind.OURS,
    ),
    Claim(
        "W16",
        r"Section 1.1, $n = n_0 < n_1 < \dots < n_d = \ell$",
        r"PLUGIn with half of its step inverts networks that narrow after the first layer.",
        (
            Criterion("share", r"share of codes recovered from $G(h_0)$, widths $n, 20n, 10n, 40n$, one start", low=0.9),
            Criterion("gain", "that share minus the share of gradient descent, in percentage points, the starts the same"),
        ),
        kind=Kind.OURS,
    ),
    Claim(
        "W17",
        "Algorithm 1, line 3",
        "With PLUGIn's pullback, and steps by the norms of the codes, Algorithm 1 needs neither the sign check nor a scale "
        "of the start. (The bounds were set after a pilot of 16 problems.)",
        (
            Criterion(
                "gain",
                r"its success minus that of Algorithm 1, in percentage points, the problems and starts the same, "
                r"$n_1 = 10n$, $\ell = 50(n + p)$",
                low=-10,
            ),
            Criterion("far", "its success from starts of a hundred times the norm", low=0.9),
        ),
        kind=Kind.OURS,
    ),
    Claim(
        "W18",
        "Section 1.1, A2",
        r"How many measurements narrow first layers cost.",
        (
            Criterion("narrow", r"$\ell_{50}/(n + p)$ of Algorithm 1 at $n_1/n = 5$"),
            Criterion("wide", r"the same at $n_1/n = 20$"),
            Criterion("contractive", r"success at $n_1/n = 1/2$ and the largest $\ell$"),
        ),
        kind=Kind.OURS,
    ),
    # Sample complexity
    Claim(
        "S1",
        "Abstract; Section 1.1, A3",
        r"$\ell = \Omega(n^2 + p^2)$ measurements suffice, up to logarithms.",
        (
            Criterion(
                "success", r"smallest share of recovered problems at $\ell = 2(n^2 + p^2)$, $n = p = 10 \ldots 20$", low=0.95
            ),
        ),
    ),
    Claim(
        "S2",
        "Section 1.1, after Theorem 1",
        r"The sample complexity scales quadratically in the dimension of the latent codes.",
        (
            Criterion(
                "exponent",
                r"exponent of $\ell_{50}$, at which half of the problems are recovered, in $n = p$ (the theorem's is 2)",
            ),
            Criterion("ratio", r"$\ell_{50} / (n + p)$ at the largest $n = p$"),
        ),
    ),
    Claim(
        "S3",
        "Section 1.1, A2",
        r"The inner layers must expand: $n_i \ge c\, n_{i-1} \log n_{i-1}$.",
        (
            Criterion("expansive", r"success at the largest $n_1 / n$"),
            Criterion("contractive", r"success at the smallest $n_1 / n$, below 1"),
        ),
    ),
    Claim(
        "S4",
        "Section 1; Section 1.1, after Theorem 1",
        "At equal numbers of unknowns and of starts, a random generative prior needs fewer measurements than sparsity.",
        (
            Criterion("branchhull", r"$\ell_{50}$ of $\ell_1$-BranchHull over that of Algorithm 1", low=1),
            Criterion("power_factorization", r"$\ell_{50}$ of sparse power factorisation over that of Algorithm 1", low=1),
        ),
        Kind.OURS,
    ),
    Claim(
        "S5",
        "Section 1.2",
        r"Lifting has a recovery guarantee with $\ell = \Omega(n + p)$ measurements, up to log factors.",
        (
            Criterion(
                "slope",
                r"slope of $\ell_{50}$ of the lifted program in $n + p$, both logarithmic; the guarantee's $(n + p) \log^3$ "
                r"allows $1 + 3/\log(n + p) = 2$ at these sizes",
                high=2,
            ),
        ),
    ),
    Claim(
        "S6",
        "Section 1.2",
        "Because lifting operates in the space of matrices, it is computationally prohibitively expensive.",
        (Criterion("time_exponent", r"exponent of its time in $n = p$", low=3),),
    ),
    Claim(
        "S7",
        "Section 1.1, after Theorem 1",
        "A signal can have a latent code dimension with respect to a GAN that is smaller than its sparsity level with "
        "respect to a wavelet basis.",
        (
            Criterion(
                "digits",
                "terms of the better of two wavelet bases, over the latent dimension 100, that a digit needs for "
                "the quality of the shipped priors; the smaller of two medians",
                low=1,
            ),
        ),
    ),
    Claim(
        "S8",
        "Section 1.1, after Theorem 1",
        "The latent dimension is smaller for both factors of the experiment, and in the cosine transform, too.",
        (
            Criterion("digits_cosine", "terms of a cosine transform over the latent dimension, digits", low=1),
            Criterion("bumps_wavelet", "terms of a wavelet basis over the latent dimension, modulators", low=1),
            Criterion("bumps_cosine", "terms of a cosine transform over the latent dimension, modulators", low=1),
        ),
        Kind.OURS,
    ),
    Claim(
        "S9",
        "Section 1",
        "Recovering the signal using generative prior would require less number of measurements than its sparsity.",
        (
            Criterion(
                "branchhull",
                r"$\ell_{50}$ of $\ell_1$-BranchHull over that of Algorithm 1 on random problems, times the terms that a "
                "digit and a modulator need in their best bases, over their latent dimensions",
                low=1,
            ),
            Criterion("power_factorization", "the same for sparse power factorisation", low=1),
        ),
    ),
    Claim(
        "S10",
        "Section 1.1, after Theorem 1",
        "Compressed sensing can be done with 5-10x fewer measurements than sparsity models.",
        (
            Criterion(
                "ratio",
                "measurements of a lasso, in the better of a cosine and a wavelet basis, over those of CSGM at the same "
                "error, where CSGM has two for each latent coordinate",
                low=5,
            ),
        ),
    ),
    Claim(
        "S11",
        "Section 1; Section 1.2",
        "Exact recovery by sparsity based methods is possible if the number of measurements scales quadratically with the "
        "sparsity level.",
        (
            Criterion("exponent", r"exponent of $\ell_{50}$ of sparse power factorisation in the sparsity, flat codes"),
            Criterion("ratio", r"$\ell_{50}$ over the number of nonzero entries of both codes, at the largest sparsity"),
        ),
    ),
    Claim(
        "S12",
        "Section 1.2",
        "Alternating minimisation recovers signals that satisfy a peakiness condition with near optimal sample complexity.",
        (
            Criterion("exponent", r"exponent of $\ell_{50}$ of the same method in the sparsity, peaky codes", high=1.3),
            Criterion("gain", r"$\ell_{50}$ for flat codes over that for peaky ones, at the largest sparsity"),
        ),
    ),
    Claim(
        "S13",
        "Section 1.2",
        "Methods based on Wirtinger Flow are non-convex and require a good initialization to converge to a global solution.",
        (
            Criterion("spectral", "share of problems recovered from the spectral start"),
            Criterion("random", "share recovered from one random start", high=0.5),
        ),
    ),
    Claim(
        "S14",
        "Section 1.2",
        "PhaseMax enjoys a rigorous recovery guarantee if a good anchor is available.",
        (
            Criterion("good", r"share recovered from $\ell = 8p$ squares with an anchor at 45° from the truth", low=0.95),
            Criterion("poor", "the same with an anchor at 85°"),
        ),
    ),
    Claim(
        "S15",
        "Section 1.3",
        r"The $\ell_2$ regularization promotes solutions with least $\ell_2$ norm and resolves the scaling ambiguity.",
        (
            Criterion(
                "imbalance", r"median of $\lvert \log(\lVert h \rVert / \lVert m \rVert) \rvert$ where it has run", high=0.05
            ),
            Criterion("without", "the same from the same starts without the regularization"),
            Criterion("recovered", "share recovered to one part in a thousand with this regularization"),
        ),
    ),
    Claim(
        "S16",
        "Section 1.3",
        "For inversion every point outside a small neighborhood around the true solution and a negative multiple of it has "
        "a descent direction.",
        (
            Criterion("ends", "share of descents without a negation check that end at one of the two", low=0.95),
            Criterion("negative", "of all ends, those at the negative multiple"),
        ),
    ),
    Claim(
        "S17",
        "Section 1.3",
        r"Under favorable conditions on the generator, $O(k d^2 \log n)$ measurements suffice for phase retrieval.",
        (
            Criterion("dimension", r"exponent of the measurements that recover half in the latent dimension $k$", high=1.3),
            Criterion("depth", r"exponent in the depth $d$", high=2),
        ),
    ),
    Claim(
        "S18",
        "Section 1.2",
        "At finite sizes lifting follows the statistical dimension of the cone of descent, which is linear in the limit.",
        (
            Criterion(
                "excess",
                r"slope of $\ell_{50}$ minus that of the statistical dimension at the same sizes",
                low=-0.15,
                high=0.15,
            ),
        ),
        Kind.OURS,
    ),
    # Algorithm 1
    Claim(
        "A1",
        "Section 2, line 1",
        r"Algorithm 1 converges to a global minimiser from an arbitrary starting point with $h_1 \neq 0$ and $m_1 \neq 0$: "
        r"here one of norm up to $2 \sqrt{\widehat H_0}$, as far as one constant step serves; longer ones are those of A6.",
        (
            Criterion("problems", "problems, fresh networks and an arbitrary start each", low=100),
            Criterion("recovered", "recovered, per hundred", low=95),
        ),
    ),
    Claim(
        "A2",
        "Section 2, line 3",
        "Comparing $f$ at four points with flipped signs avoids the spurious minimisers.",
        (
            Criterion("never_1", "success without the check, $n = p = 1$"),
            Criterion("first_1", "success with the first check only, $n = p = 1$"),
            Criterion("every_1", "success with the check at every iteration, $n = p = 1$"),
            Criterion("never_10", "success without the check, $n = p = 10$"),
        ),
    ),
    Claim(
        "A3",
        "Section 2, line 5",
        r"Normalising resolves the scaling ambiguity: $\lVert h_i \rVert = \lVert m_i \rVert$ at every iteration.",
        (Criterion("imbalance", r"largest $\lvert \lVert h_i \rVert / \lVert m_i \rVert - 1 \rvert$", high=1e-12),),
        Kind.IDENTITY,
    ),
    Claim(
        "A4",
        "Section 2, line 4",
        r"The two steps alternate: $m$ descends at the new $h$.",
        (
            Criterion(
                "small_step", r"success of alternating minus simultaneous steps, in percentage points, $\theta = .25$"
            ),
            Criterion("large_step", r"the same, $\theta = 1$"),
        ),
    ),
    Claim(
        "A5",
        "Section 1.1, before the sample complexity; left as future work",
        "A convergence result to a global minimiser by gradient descent is possible, and would require a convexity-like "
        r"property around the hyperbola: here $\langle \nabla f(z), z - z^* \rangle > 0$ at balanced points $z$ around the "
        "balanced minimiser $z^*$, at most half of its norm away, in the worst directions that a search finds.",
        (
            Criterion("pairs", r"pairs of networks, $n = p = 10$, width 100, $\ell = 1000$", low=20),
            Criterion("points", "points around the hyperbola, none of them on it", low=10_000),
            Criterion("violations", r"those with $\langle \nabla f(z), z - z^* \rangle \le 0$", high=0),
        ),
    ),
    Claim(
        "A6",
        "Section 2, line 1",
        r"The starting point is arbitrary but for zero; the step size is left open, and here follows the norms: $\eta_h "
        r"\propto 1/\lVert m \rVert^2$, $\eta_m \propto 1/\lVert h \rVert^2$.",
        (
            Criterion("short", "success from an initial norm of $10^{-3}$", low=0.95),
            Criterion("long", "success from an initial norm of $10^3$", low=0.95),
            Criterion("least", "the least success among all norms from $10^{-3}$ to $10^3$", low=0.95),
        ),
    ),
    Claim(
        "A7",
        "Section 1.1; not studied in the paper",
        "Recovery with noise in $y_0$.",
        (Criterion("slope", "slope of the error in the signal-to-noise ratio, both in dB"),),
    ),
    Claim(
        "A8",
        "Section 1.1, before the sample complexity; left as future work",
        r"In infinitely wide networks $\langle t(z), z - z^* \rangle \ge c\, L \lVert z - z^* \rVert^2$ at all balanced "
        r"points at most $.69\, \lVert z^* \rVert$ away: proved by hand near $z^*$, by intervals farther out.",
        (
            Criterion("shallow", "the $c$ that is certified, $d = s = 2$", low=0.25),
            Criterion("deep", "the $c$ that is certified, $d = s = 5$", low=0.1),
        ),
        Kind.IDENTITY,
    ),
    Claim(
        "A9",
        "Section 1.1, before the sample complexity; left as future work",
        r"In the worst direction at half the norm of $z^*$, wider networks point home more strongly.",
        (
            Criterion("narrow", r"median of the least $c$ that a search finds, width 50, $\ell = 500$"),
            Criterion("wide", r"the same, width 400, $\ell = 4000$"),
            Criterion("gain", "share of pairs of the wide networks that are above the median of the narrow ones", low=0.5),
        ),
        Kind.OURS,
    ),
    Claim(
        "A10",
        "Section 1.1, before the sample complexity; left as future work",
        "The spectrum of the Hessian on the hyperbola predicts the linear rate of Algorithm 1.",
        (
            Criterion(
                "rate",
                "median relative deviation of the logarithm of the measured linear rate from that of the predicted one",
                high=0.1,
            ),
            Criterion("rate_worst", "the largest deviation; a run that has not turned into the slowest direction is faster"),
        ),
        Kind.OURS,
    ),
    Claim(
        "A11",
        "Section 2, line 1",
        r"With a constant step $\eta = \theta / L$, $\theta = 1/4$, starts are solved up to norms of $\sqrt{1/\theta} = 2"
        r"$ and not beyond about $\sqrt{2/\theta} = 2.83$, in units of $\sqrt{\widehat H_0}$.",
        (
            Criterion("inside", "success at the norm 2", low=0.95),
            Criterion("edge", "the norm at which half of the problems are solved", low=2, high=3.5),
            Criterion("outside", "success at the norm 10", high=0.05),
        ),
        Kind.OURS,
    ),
    Claim(
        "A12",
        "Section 2, line 1",
        "Gauss–Newton steps solve from starts of any norm.",
        (Criterion("least", "the least success among all norms from $10^{-3}$ to $10^3$", low=0.95),),
        Kind.OURS,
    ),
    Claim(
        "A13",
        "Section 1.1, before the sample complexity; left as future work",
        "The second-smallest eigenvalue of the Hessian on the hyperbola counts measurements: it vanishes exactly where "
        r"fewer than $n + p - 1$ entries of $y_0$ are not zero.",
        (
            Criterion("networks", r"pairs of networks, $n = p = 10$, $\ell = 60 \ldots 160$", low=660),
            Criterion("disagreements", "those in which one of the two is so and the other is not", high=0),
        ),
        Kind.OURS,
    ),
    # Images
    Claim(
        "I1",
        "Section 4",
        "The distortion set holds 8,100 images of 28 × 28 pixels.",
        (
            Criterion("images", "images", low=8100, high=8100),
            Criterion("different", "pixels that differ from the formula, evaluated independently", high=0),
        ),
        Kind.IDENTITY,
    ),
    Claim(
        "I2",
        "Figure 2; Section 4",
        "Algorithm 1 removes the distortions from images of MNIST.",
        (
            Criterion("digits", "unseen test digits", low=100),
            Criterion(
                "residual",
                "median mean-squared residual, the paper's setting (.0043 in the authors' published run)",
                high=5e-3,
            ),
            Criterion("gain", "median PSNR of the digit over that of a constant image, in dB", low=10),
        ),
    ),
    Claim(
        "I3",
        "Section 4",
        "The 500 iterations that the paper reports come within a fifth of the loss after 5,000 (five digits; the paper does "
        "not say that they suffice).",
        (Criterion("ratio", "median loss after 500 iterations over that after 5,000", high=1.2),),
        Kind.OURS,
    ),
    Claim(
        "I4",
        "Section 4",
        "One start suffices.",
        (
            Criterion("starts", "spread of the digit's PSNR over 20 starts, in dB"),
            Criterion("seeds", "spread of the median over generators trained from other seeds, in dB"),
        ),
    ),
    Claim(
        "I5",
        "Section 4",
        "Stochastic gradient descent with step size 1 and momentum .9 recovers the images.",
        (
            Criterion("paper", "median PSNR of the digit, the paper's setting, in dB"),
            Criterion("notebook", "the same, the setting of the published notebook"),
            Criterion("best", "the same, the best setting found"),
        ),
    ),
    Claim(
        "I6",
        "Section 1, after (1)",
        "Generative priors outperform classical methods on these images (the paper says so of other problems).",
        (
            Criterion(
                "margin",
                "median PSNR of the digit over that of the best classical method on the paper's distortions, in dB",
                low=0,
            ),
            Criterion("margin_elsewhere", "the same on modulators that are not log-quadratic"),
            Criterion("margin_noise", "the same on the paper's distortions with noise of standard deviation .05"),
        ),
        Kind.OURS,
    ),
    Claim(
        "I7",
        "Section 1.3",
        "Blind demodulation compared with compressed sensing under the same prior, the modulator known.",
        (Criterion("gap", "PSNR of the digit with the modulator known minus that without, in dB"),),
    ),
    Claim(
        "I8",
        "Section 4; not studied in the paper",
        "Images and modulators out of the generators' ranges.",
        (
            Criterion("glyphs", "median PSNR of other glyphs, in dB"),
            Criterion("wide", r"median PSNR of digits under $\sigma = 49.5$, in dB"),
        ),
    ),
)

LEDGER: dict[str, Claim] = {claim.id: claim for claim in _CLAIMS}
