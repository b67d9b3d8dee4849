"""What is chosen from out-of-fold scores: strengths, slopes and shares of a mixture.

Knows nothing of how parts are fitted; every choice about an image is made without it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from classifiers.mixture import BLOCKS, PENULTIMATE, TREES, Choice, Mixture, Scores, Share
from classifiers.parts import STAGES
from classifiers.voting import Votes

Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PRIORS = {PENULTIMATE: 5.0, STAGES: 1.0, BLOCKS: 1.0, TREES: 0.5}
"""Shares before anything is seen: the penultimate vector is the safest on unlike images.

Between 2 and 12 the mean AUC over image sets hardly moves.
"""

CAUTION = 40
"""Images at which the penultimate vector's prior counts twice, and more with fewer: they cannot
show that another member is better, and the set that loses most by trying loses half as much."""

MIDWAY = 0.45
"""The likeness (`Mixture.likeness`) at which the priors stand as they are.

Photographs of things lie under it (0.28 to 0.43, those of one kind alone included), X-rays,
histology, digits and textures above (0.53 to 0.92); with the penultimate vectors of two larger
networks as with the default one's."""

STEEPNESS = 20.0
"""How fast the penultimate vector's prior falls with likeness: e-fold for each 1/20 of it.

Where images look alike to the backbone's last layer, it has dropped what they differ in, and the
stages still have it; where they do not, the stages are noise. Between 10 and 30, and with `MIDWAY`
between 0.40 and 0.50, the mean AUC over image sets moves by 0.002 at most."""

LEAST, MOST = 0.35, 0.65
"""Likeness beyond these says no more: labels must be able to say otherwise."""

TEMPER = 3.0
"""What the likelihood is flattened by: out-of-fold scores of one set are far from independent."""

SLOPES = np.geomspace(0.05, 20, 61)
LEAST_SHARE = 0.02


def choose(scores: Scores, mixture: Mixture, rows: IntArray) -> Choice:
    """Choose strengths, slopes and shares from the out-of-fold scores of some rows.

    No rows, no choice: the middle strength, slope 1, and the priors.
    """
    members = _members(mixture, scores)
    tuned = {name: _tune(parts, scores, mixture, rows) for name, parts in members.items()}
    losses = {name: loss for name, (_, _, loss) in tuned.items()}
    # Without stages nobody else has what the last layer dropped: likeness says nothing.
    likeness = mixture.likeness if STAGES in members else MIDWAY
    shares = _shares(losses, _priors(len(mixture.targets), likeness), len(rows))
    found = []
    for name, share in shares.items():
        parts, (strength, slope, _) = members[name], tuned[name]
        found += [Share(part, strength, share * slope / len(parts)) for part in parts if share]
    return Choice(tuple(found), shares)


def cross_fitted(
    scores: Scores, mixture: Mixture, fold_of: IntArray, votes: Sequence[Votes]
) -> Float64:
    """Final scores of held-out images, as they are answered: float64 (n_images, n_outputs).

    Args:
        scores: of each image by the model that did not learn from it.
        mixture: whose.
        fold_of: int64 (n_images,), which model that is.
        votes: what the choices for each fold are made from.
    """
    found: Float64 = np.zeros_like(mixture.targets)
    for fold, choice in enumerate(cross_choices(votes, mixture)):
        rows = np.flatnonzero(fold_of == fold)
        found[rows] = choice.apply(scores, rows)
    return mixture.in_units(found)


def cross_choices(votes: Sequence[Votes], mixture: Mixture) -> list[Choice]:
    """For each fold, what is chosen on all the others."""
    return [choose(each.scores, mixture, each.rows) for each in votes]


def _members(mixture: Mixture, scores: Scores) -> dict[str, tuple[str, ...]]:
    """Each member's parts; a member of several is their mean."""
    parts = mixture.block_parts
    members: dict[str, tuple[str, ...]] = {PENULTIMATE: parts[:1]}
    if STAGES in scores:
        members |= {STAGES: (STAGES,), BLOCKS: parts}
    return members | ({TREES: (TREES,)} if TREES in scores else {})


def _tune(
    parts: tuple[str, ...], scores: Scores, mixture: Mixture, rows: IntArray
) -> tuple[int, float, float]:
    """The strength, and then the slope, with which a member loses least; and what it loses then."""
    if not len(rows):
        return scores[parts[0]].shape[0] // 2, 1.0, 0.0
    found = np.mean([scores[part][:, rows] for part in parts], axis=0)
    strength = int(np.argmin(mixture.loss(found, rows)))
    losses = mixture.loss(SLOPES[:, None, None] * found[strength], rows)
    best = int(np.argmin(losses))
    return strength, float(SLOPES[best]), float(losses[best])


def _priors(n_images: int, likeness: float) -> dict[str, float]:
    """Each member's share before any score is seen: the fewer and the less alike, the safer."""
    excess = float(np.clip(likeness, LEAST, MOST)) - MIDWAY
    trust = (1 + CAUTION / n_images) * float(np.exp(-STEEPNESS * excess))
    return PRIORS | {PENULTIMATE: PRIORS[PENULTIMATE] * trust}


def _shares(
    losses: Mapping[str, float], priors: Mapping[str, float], n_rows: int
) -> dict[str, float]:
    best = min(losses.values())
    found = {
        name: priors[name] * float(np.exp(-(loss - best) * n_rows / TEMPER))
        for name, loss in losses.items()
    }
    total = sum(found.values())
    kept = {n: share if share >= LEAST_SHARE * total else 0.0 for n, share in found.items()}
    return {name: share / sum(kept.values()) for name, share in kept.items()}
