"""Token dropping: random tokens skip a middle layer and come back in place behind it."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.choose import kept_count, ranks
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import draws

__all__ = ["METHOD"]

_SHAPE = (6, 16, 4)


def _sketch(key: Key) -> Any:
    batch, tokens, _ = _SHAPE
    u = draws(key, (batch, tokens)).u
    kept = ranks(u, np.ones_like(u, bool), np) >= tokens - kept_count(0.5, tokens)
    return np.broadcast_to(np.where(kept, 1.0, 0.0)[..., None], _SHAPE).copy()


METHOD = Method(
    name="token_dropping",
    title="Random layerwise token dropping (random-LTD)",
    summary="Lets random tokens skip a middle layer and puts them back where they stood, so that the layer "
    "computes on a shorter sequence.",
    formula="for each sample and layer a random subset S of k = round((1 - rate) n) of n tokens, in their "
    "order; y_S = layer(x_S), y = x elsewhere",
    paper=Paper(
        title="Random-LTD: Random and Layerwise Token Dropping Brings Efficient Training for Large-scale "
        "Transformers",
        authors=(
            "Yao, Zhewei",
            "Wu, Xiaoxia",
            "Li, Conglong",
            "Holmes, Connor",
            "Zhang, Minjia",
            "Li, Cheng",
            "He, Yuxiong",
        ),
        year=2022,
        venue="arXiv",
        url="https://arxiv.org/abs/2211.11586",
        bibtex="""@article{yao2022random,
  title   = {Random-LTD: Random and Layerwise Token Dropping Brings Efficient Training for Large-scale
             Transformers},
  author  = {Yao, Zhewei and Wu, Xiaoxia and Li, Conglong and Holmes, Connor and Zhang, Minjia and Li, Cheng
             and He, Yuxiong},
  journal = {arXiv preprint arXiv:2211.11586},
  year    = {2022}
}""",
        checked="the authors' code in DeepSpeed (RandomLayerTokenDrop and its sampling of sorted places), "
        "the abstract and citing bibliographies",
    ),
    site="token",
    fields=("text", "vision"),
    good_for="Pretraining and fine-tuning of deep transformers at lower cost: wrap all layers but the first "
    "and the last, and lower the rate to 0 towards the end of training, as the authors let the kept length "
    "grow. A whole stack of middle layers can be wrapped as one.",
    bad_for="Shallow networks, whose first and last layers must see all tokens; layers with masks that look "
    "at positions, other than causal and padding ones.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b t d",
        arguments={"rate": 0.5},
        usage={
            "torch": "layer = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)\n"
            "layer = TokenDropping(layer, 0.5)\n"
            "x = torch.randn(6, 16, 32)\n"
            "y = layer(x)  # (6, 16, 32): half of the tokens as they were"
        },
    ),
    evidence="Its abstract reports a third of the theoretical compute and a quarter of the time saved on a "
    "GPT of 1.3 billion parameters at similar zero-shot results. Hou et al. 2022 (arXiv 2203.13240), who "
    "drop tokens by importance, report a quarter of BERT's pretraining cost saved.",
    aliases=("random_ltd", "layerwise_token_dropping"),
    old_names={"random_ltd reserved_length": "DeepSpeed's setting: how many tokens go through the layer"},
    around="layer",
    layers={"torch": "TokenDropping"},
    waived={
        "rate": "authors' code, reserved_length: exactly k of n tokens go through, the nearest to the rate",
        "moments": "law y = x elsewhere: a token that skips the layer is not dropped but unchanged",
        "mean": "authors' code: nothing is scaled, and attention sees fewer tokens than in evaluation",
        "independence": "authors' code, multinomial without replacement: exactly k of n tokens",
        "gradient": "law y = x elsewhere: the gradient is that of the layer, and 1 beside it",
        "edges": "at rate 1 one token goes through: attention has no output for no token",
    },
)
