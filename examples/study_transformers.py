"""Study a text model of transformers, trained by the loss that it returns, as its Trainer does.

Run: python examples/study_transformers.py
"""

import numpy as np
import numpy.typing as npt
from transformers import BertConfig, BertForSequenceClassification

import dropkit
from dropkit.experiments.loops import from_transformers
from dropkit.report.plan import Arm

WORDS, LENGTH = 20, 8


def reviews(count: int = 240) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Sentences of eight word numbers; the high ones are kind, and one sentence in ten is mislabelled."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, WORDS, (count, LENGTH))
    kind = (words > WORDS / 2).sum(1) > LENGTH / 2
    # Two axes of length one: what has four axes is given to the model as it is, and not standardised.
    return words[:, None, None, :], kind ^ (rng.random(count) < 0.1)


def make_model(n_outputs: int) -> BertForSequenceClassification:
    """A small network with random weights; a pretrained one is loaded here."""
    config = BertConfig(
        vocab_size=WORDS,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
        hidden_act="relu",
        attention_probs_dropout_prob=0.0,
    )
    config.num_labels = n_outputs
    return BertForSequenceClassification(config)


def main() -> None:
    """The dropout of 0.1 that BERT brings, another one, and none."""
    model, recipe = from_transformers(make_model, learning_rate=3e-3)
    result = dropkit.study(
        reviews(),
        model=model,
        recipe=recipe,
        arms=(
            Arm("none", "none"),
            Arm("as brought", "own dropout", keeps_own=True),
            Arm("dropout 0.3", "dropout", rate=0.3),
        ),
        pairs=6,  # a real study has 10 or more, and searches its settings itself
        epochs=6,
        workers=1,
        out="study-transformers",
        quiet=True,
    )
    print(result.verdict.headline)


if __name__ == "__main__":
    main()
