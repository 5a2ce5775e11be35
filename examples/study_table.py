"""Study a table of your own: blood values of patients, several visits each.

Run: python examples/study_table.py
The same from the command line:
    dropkit study --data visits.csv --target ill --group patient --ignore visit --class-weight balanced
"""

import numpy as np
import pandas as pd

import dropkit
from dropkit.experiments.families import UNREGULARISED
from dropkit.report.plan import Arm


def visits(patients: int = 60, each: int = 5) -> pd.DataFrame:
    """Two values that tell a little, a clinic that tells nothing, and one patient in six ill."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(patients), each)
    ill = patient % 6 == 0
    return pd.DataFrame(
        {
            "visit": np.arange(len(patient)),
            "patient": [f"P{number:02}" for number in patient],
            "clinic": rng.choice(["north", "south"], len(patient)),
            "iron": rng.normal(10 - 3 * ill, 2),
            "glucose": rng.normal(5 + ill, 1),
            "ill": np.where(ill, "yes", "no"),
        }
    )


def main() -> None:
    """No patient stands in two parts, the row number is no input, and the rare class weighs as much."""
    result = dropkit.study(
        visits(),
        target="ill",
        group="patient",
        ignore=["visit"],
        class_weight="balanced",
        arms=(UNREGULARISED, *(Arm(f"dropout {rate}", "dropout", rate=rate) for rate in (0.25, 0.5))),
        pairs=6,  # a real study has 10 or more, and the arms that dropkit proposes
        epochs=20,
        workers=1,
        out="study-table",
        quiet=True,
    )
    print(*result.plan.notes, sep="\n")
    print(f"\n{result.verdict.headline}")


if __name__ == "__main__":
    main()
