"""Study texts: from which page of Python's own help is a paragraph?

Run: python examples/study_text.py
Texts of your own, from the command line, one a row of a CSV file with a column for their kind:
    dropkit study --data reviews.csv --target kind --text review
"""

from pydoc_data.topics import topics

import pandas as pd

import dropkit
from dropkit.experiments.families import UNREGULARISED
from dropkit.report.plan import Arm

PAGES = ("specialnames", "compound", "types", "debugger")


def paragraphs() -> pd.DataFrame:
    """One row a paragraph of 40 letters or more, with the page that it stands on."""
    rows = [(page, text) for page in PAGES for text in topics[page].split("\n\n") if len(text) >= 40]
    return pd.DataFrame(rows, columns=["page", "text"])


def main() -> None:
    """Dropout behind the hidden layer, of whole words, and of words that become unknown."""
    result = dropkit.study(
        paragraphs(),
        target="page",
        text="text",
        arms=(
            UNREGULARISED,
            Arm("dropout 0.5", "dropout", rate=0.5),
            Arm("token dropout 0.3", "token dropout", rate=0.3, method="token_dropout"),
            Arm("input dropout 0.3", "input dropout", input_rate=0.3),
        ),
        pairs=6,  # a real study has 10 or more, and the arms that dropkit proposes
        epochs=8,
        workers=1,
        out="study-text",
        quiet=True,
    )
    print(*result.plan.notes, sep="\n")
    print(f"\n{result.verdict.headline}")


if __name__ == "__main__":
    main()
