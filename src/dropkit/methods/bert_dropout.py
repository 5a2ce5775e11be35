"""BERT's scheme of dropout: which sites of an encoder drop, and at which rate."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["METHOD"]

_SHAPE = (3, 10, 16)


def _sketch(key: Key) -> Any:
    return mask(key, _SHAPE, Drop(0.1))


METHOD = Method(
    name="bert_dropout",
    title="BERT's dropout scheme",
    summary="Sets the rates of an encoder as BERT does: embeddings, attention, both outputs of a layer and "
    "the classifier drop, the inner activation of the feed-forward block does not.",
    formula="rate 0.1 at: embeddings, softmax(Q K^T / sqrt(d)), the output of attention and of the "
    "feed-forward block before each residual sum, the input of the classifier; rate 0 between the two maps "
    "of the feed-forward block",
    paper=Paper(
        title="BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding",
        authors=("Devlin, Jacob", "Chang, Ming-Wei", "Lee, Kenton", "Toutanova, Kristina"),
        year=2019,
        venue="NAACL",
        url="https://arxiv.org/abs/1810.04805",
        bibtex="""@inproceedings{devlin2019bert,
  title     = {BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding},
  author    = {Devlin, Jacob and Chang, Ming-Wei and Lee, Kenton and Toutanova, Kristina},
  booktitle = {Proceedings of the 2019 Conference of the North American Chapter of the Association for
               Computational Linguistics},
  year      = {2019}
}""",
        checked="copies of the authors' code: attention_probs_dropout_prob and hidden_dropout_prob of 0.1, "
        "and the 0.1 before the classifier; the ACL Anthology's entry N19-1423 for the reference",
    ),
    site="activation",
    fields=("text",),
    good_for="Fine-tuning of BERT and its relatives, where one call sets what the paper used, and encoders "
    "of one's own that are to be compared with it.",
    bad_for="Models whose layers drop elsewhere, such as decoders; long pretraining on plenty of text, for "
    "which later encoders lower the rates.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b t d",
        arguments={"rate": 0.1},
        usage={
            "torch": "layer = torch.nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)\n"
            "model = bert_dropout(torch.nn.TransformerEncoder(layer, 2), 0.1)\n"
            "y = model(torch.randn(3, 10, 16))\n"
            "# with transformers: config = bert_dropout(BertConfig(), 0.1, classifier=0.2)"
        },
    ),
    variant_of="dropout",
    evidence="The scheme of BERT's published results; the paper does not compare it with others.",
    aliases=("devlin_dropout",),
    old_names={
        "hidden_dropout_prob": "the rate of embeddings and outputs, in BERT's code and transformers",
        "attention_probs_dropout_prob": "the rate of attention dropout, in BERT's code and transformers",
    },
    layers={"torch": "bert_dropout"},
)
