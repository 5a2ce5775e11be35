"""Feature alpha dropout: alpha dropout of whole channels."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper

__all__ = ["METHOD", "feature_alpha_dropout"]


def feature_alpha_dropout(rate: Any) -> Drop:
    """Return alpha dropout with one coin for each channel of each sample of a map `(batch, channels, ...)`.

    The law is that of `alpha_dropout` (Klambauer et al. 2017), as in PyTorch's layer of this name.

    Args:
        rate: the probability that a channel is dropped, in [0, 1]; at 1 every entry becomes 0.

    >>> feature_alpha_dropout(0.5).groups.pattern
    'b c ... -> b c'
    """
    return Drop(rate, "b c ... -> b c", noise="alpha")


METHOD = Method(
    name="feature_alpha_dropout",
    title="Feature alpha dropout",
    summary="Sends whole channels to the floor of SELU and rescales all, so that activations of mean 0 and "
    "variance 1 stay so.",
    formula="one coin for each (b, c); x' = x where kept, f = -1.7581 where dropped; y = a x' + b, "
    "a = ((1 - rate) (1 + rate f^2))^(-1/2), b = -a rate f",
    paper=Paper(
        title="Self-Normalizing Neural Networks",
        authors=("Klambauer, Günter", "Unterthiner, Thomas", "Mayr, Andreas", "Hochreiter, Sepp"),
        year=2017,
        venue="NeurIPS",
        url="https://arxiv.org/abs/1706.02515",
        bibtex="""@inproceedings{klambauer2017self,
  title     = {Self-Normalizing Neural Networks},
  author    = {Klambauer, G{\\"u}nter and Unterthiner, Thomas and Mayr, Andreas and Hochreiter, Sepp},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {30},
  pages     = {971--980},
  year      = {2017}
}""",
        checked="the authors' own code (selu.py, noise_shape) and PyTorch's documentation of "
        "FeatureAlphaDropout",
    ),
    site="activation",
    fields=("vision", "speech"),
    good_for="Convolutional networks of SELU units, where entry-wise alpha dropout leaves neighbours that "
    "say the same.",
    bad_for="Any activation other than SELU; layers with few channels, of which a large share may go at "
    "once.",
    describe=feature_alpha_dropout,
    example=Example(shape=(2, 6, 6, 8), axes="b c h w", arguments={"rate": 0.3}),
    evidence="It joins alpha dropout (Klambauer et al. 2017) and whole channels (Tompson et al. 2015), as "
    "torch does; no paper compares the two together.",
    study=True,
    aliases=("channel_alpha_dropout",),
    layers={"torch": "FeatureAlphaDropout", "keras": "FeatureAlphaDropout"},
    waived={
        "mean": "Klambauer et al. 2017, selu.py: mean 0 and variance 1 are kept over the law of the input, "
        "not the single entry's expected value",
    },
)
