"""Study a text model of transformers, trained by the loss that it returns, as its Trainer does.

Run: python examples/study_transformers.py
"""

import numpy as np
import numpy.typing as npt
from transformers import BertConfig, BertForSequenceClassification

import dropkit
from dropkit.experiments.loops import from_transformers
from dropkit.report.plan import Arm

WORDS, LENGTH = 22, 8


def reviews(count: int = 240) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Sentences of at most eight words; high ones are kind, and one sentence in ten is mislabelled.

    0 is padding and 1 an unknown word; a tokenizer of transformers gives such numbers as `input_ids`.
    """
    rng = np.random.default_rng(0)
    words = rng.integers(2, WORDS, (count, LENGTH))
    kind = (words > WORDS / 2).sum(1) > LENGTH / 2
    words[np.arange(LENGTH) >= rng.integers(LENGTH // 2, LENGTH + 1, count)[:, None]] = 0
    return words, kind ^ (rng.random(count) < 0.1)


def make_model(n_outputs: int, n_words: int) -> BertForSequenceClassification:
    """A small network with random weights; a pretrained one is loaded here."""
    config = BertConfig(
        vocab_size=n_words,
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
        words=True,
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
