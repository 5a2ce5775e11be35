"""LayerSkip: layers are skipped sample by sample, at rates that double over depth, and every exit learns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dropkit.core.check import RATE, DropkitError, Interval, Whole, check_each
from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper

__all__ = ["METHOD", "exit_weights", "layer_skip", "layer_skip_rates"]

_DEPTH = Whole(1, "give the number of layers, e.g. 32")
_STEPS = Whole(1, "give the number of steps over which the rates grow, e.g. 1000")
_STEP = Whole(0, "give the number of steps taken so far")
_SCALE = Interval(0, float("inf"), "give the weight of early exits, e.g. 0.2", open_high=True)


def layer_skip(rate: Any, scale_by_keep: bool = False) -> Drop:
    """Return what falls on the output of one layer's branches: one coin a sample, nothing scaled.

    Args:
        rate: the probability that a sample skips the layer, in [0, 1]; see `layer_skip_rates`.
        scale_by_keep: whether a kept branch grows by 1 / (1 - rate); not in the paper.

    >>> layer_skip(0.1).scale
    'none'
    """
    return Drop(rate, "b ... -> b", scale="train" if scale_by_keep else "none")


def layer_skip_rates(
    rate: float, depth: int, step: int | None = None, steps: int | None = None
) -> tuple[float, ...]:
    """Return one rate a layer: rate D(l) S(t), which grows exponentially over depth and, if asked, over time.

    D(l) = 2^(l / (depth - 1)) - 1 for l = 0 ... depth - 1, so that the first layer is never skipped and the
    last one with `rate`. S(t) = 1, or 2^(t / steps) - 1 until t = steps, for training from scratch (Elhoushi
    et al. 2024).

    Args:
        rate: the rate of the last layer, in [0, 1].
        depth: the number of layers, at least 1; a single layer has the full rate.
        step: the number of steps taken so far, for the curriculum.
        steps: the number of steps over which it grows, at least 1; both are given or neither.

    Raises:
        DropkitError: a number is out of its range, or one of `step` and `steps` is missing.

    >>> [round(rate, 3) for rate in layer_skip_rates(0.2, 5)]
    [0.0, 0.038, 0.083, 0.136, 0.2]
    """
    rate, depth = RATE.check("rate", rate), _DEPTH.check("depth", depth)
    if (step is None) != (steps is None):
        raise DropkitError("step", "and steps are given together", (step, steps), "give both or neither")
    if step is not None:
        done = _STEP.check("step", step) / _STEPS.check("steps", steps)
        rate *= 2 ** min(done, 1.0) - 1
    return tuple(
        rate * (2 ** (layer / max(depth - 1, 1)) - 1 if depth > 1 else 1.0) for layer in range(depth)
    )


def exit_weights(depth: int, scale: float = 0.2, active: Iterable[int] | None = None) -> tuple[float, ...]:
    """Return the weight of each layer's loss, as the same head reads every layer; they sum to 1.

    e(l) = (l + 1) (l + 2) / 2, times `scale` for all layers but the last, 0 for those that are not active,
    divided by the sum. What the early exits cost can join the loss in a trainer by
    `dropkit.torch.lightning.LossCallback` or `dropkit.torch.transformers.with_loss`.

    Args:
        depth: the number of layers, at least 1.
        scale: the weight of early exits beside the last one, at least 0.
        active: layers with a loss in this step; all by default. The last one is always active.

    Raises:
        DropkitError: a number is out of its range, or a layer is not there.

    >>> exit_weights(3, scale=1.0)
    (0.1, 0.3, 0.6)
    """
    depth, scale = _DEPTH.check("depth", depth), _SCALE.check("scale", scale)
    last, known = depth - 1, Whole(0, "count layers from 0", below=depth)
    chosen = set(range(depth) if active is None else check_each("active", active, known)) | {last}
    sums = [(i + 1) * (i + 2) / 2 * (1.0 if i == last else scale) * (i in chosen) for i in range(depth)]
    return tuple(weight / sum(sums) for weight in sums)


METHOD = Method(
    name="layer_skip",
    title="LayerSkip",
    summary="Lets samples skip layers, later ones more often, and trains one head on the output of every "
    "layer.",
    formula="rate_l(t) = rate D(l) S(t), D(l) = 2^(l / (L - 1)) - 1, S(t) = 1 or 2^(t / T) - 1; x + "
    "branch(x) kept, one coin a sample; loss = sum over l of e(l) loss(head(x_l)), the weights e(l) growing "
    "with the sum of layers below",
    paper=Paper(
        title="LayerSkip: Enabling Early Exit Inference and Self-Speculative Decoding",
        authors=(
            "Elhoushi, Mostafa",
            "Shrivastava, Akshat",
            "Liskovich, Diana",
            "Hosmer, Basil",
            "Wasti, Bram",
            "Lai, Liangzhen",
            "Mahmoud, Anas",
            "Acun, Bilge",
            "Agarwal, Saurabh",
            "Roman, Ahmed",
            "Aly, Ahmed A",
            "Chen, Beidi",
            "Wu, Carole-Jean",
        ),
        year=2024,
        venue="ACL",
        url="https://arxiv.org/abs/2404.16710",
        bibtex="""@inproceedings{elhoushi2024layerskip,
  title     = {LayerSkip: Enabling Early Exit Inference and Self-Speculative Decoding},
  author    = {Elhoushi, Mostafa and Shrivastava, Akshat and Liskovich, Diana and Hosmer, Basil and
               Wasti, Bram and Lai, Liangzhen and Mahmoud, Anas and Acun, Bilge and Agarwal, Saurabh and
               Roman, Ahmed and Aly, Ahmed A and Chen, Beidi and Wu, Carole-Jean},
  booktitle = {Proceedings of the 62nd Annual Meeting of the Association for Computational Linguistics},
  pages     = {12622--12642},
  year      = {2024},
  doi       = {10.18653/v1/2024.acl-long.681}
}""",
        checked="a review that writes out the paper's rates, and torchtune's layer_dropout.py and "
        "early_exit_loss.py by its authors, whose weights of exits are taken; the paper's own weights were "
        "not read, nor whether its curriculum ends at T or T - 1. Their readme for the reference",
    ),
    site="layer",
    fields=("text",),
    good_for="Language models that shall answer from an early layer or draft with it. Constant rates for "
    "further training, the curriculum for training from scratch.",
    bad_for="Models that always run whole, for which it costs accuracy and nothing is gained; shallow "
    "stacks.",
    evidence="Elhoushi et al. report self-speculative decoding up to 2.16 times faster on summarisation, "
    "1.82 times on coding and 2.0 times on semantic parsing, as listed in secondary sources.",
    variant_of="drop_path",
    describe=layer_skip,
    example=Example(
        shape=(12, 6, 6),
        axes="b t d",
        arguments={"rate": 0.3, "scale_by_keep": False},
        usage={
            "torch": "from dropkit.methods.layer_skip import exit_weights, layer_skip_rates\n\n"
            "rates = layer_skip_rates({rate}, depth=4)\n"
            "layers = [DropPath(rate, scale_by_keep=False) for rate in rates]\n"
            "branches = [torch.nn.Linear(8, 8) for _ in layers]\n"
            "head = torch.nn.Linear(8, 100)  # one for all exits\n"
            "x, target, losses = torch.randn(2, 5, 8), torch.randint(100, (2, 5)), []\n"
            "for layer, branch in zip(layers, branches):\n"
            "    x = x + layer(branch(x))\n"
            "    losses.append(torch.nn.functional.cross_entropy(head(x).mT, target))\n"
            "loss = sum(weight * loss for weight, loss in zip(exit_weights(4), losses))"
        },
    ),
    aliases=("layerskip",),
    layers={"torch": "DropPath", "keras": "DropPath"},
    waived={"mean": "torchtune's LayerDropout by the authors: a kept sample is not scaled"},
)
