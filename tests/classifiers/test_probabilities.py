"""Raw scores of heads side by side become probabilities, each head's for itself."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax

from classifiers.probabilities import to_probabilities

Float64 = npt.NDArray[np.float64]

heads = st.lists(st.sampled_from([1, 3, 4]), min_size=1, max_size=5)


@given(heads, st.integers(0, 4), st.integers(0, 1000), st.sampled_from([1.0, 30.0, 1e4]))
def test_one_output_is_a_log_odds_and_several_are_softmax(
    outputs: list[int], n_images: int, seed: int, size: float
) -> None:
    raw = size * np.random.default_rng(seed).standard_normal((n_images, sum(outputs)))
    found = to_probabilities(raw, np.array(outputs))
    source = target = 0
    for n_outputs in outputs:
        part = raw[:, source : source + n_outputs]
        p = found[:, target : target + max(n_outputs, 2)]
        expected = (
            softmax(part, axis=1) if n_outputs > 1 else np.hstack([1 - expit(part), expit(part)])
        )
        np.testing.assert_allclose(p, expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
        source += n_outputs
        target += max(n_outputs, 2)
    assert target == found.shape[1]
