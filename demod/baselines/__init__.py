"""Methods of the related work, one per file; each has a `solve` that returns an `Estimate`.

Subspaces and sparse vectors, w = B h and x = C m: `lifted`, `power_factorization`, `branchhull`, `bilinear_gradient`, and
`phasemax` for w = x. Generative priors, w = G1(h) and x = G2(m): `csgm`, `asim`, `inversion`, `phase_retrieval`, `plugin`.
Images: `homomorphic`, `bias_field`, `log_quadratic`; with subspaces learned from training images `log_subspace`, `pca_als`;
and estimates that need no method, `trivial`. Linear measurements of sparse images: `lasso`, in one of the `bases`.
Import the one you want: `from demod.baselines import lifted`.
"""

from demod.baselines.estimate import Estimate

__all__ = ["Estimate"]
