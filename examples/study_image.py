"""Study images of your own: a folder with one folder of pictures for each class.

Run: python examples/study_image.py
The same from the command line:
    dropkit study --data shapes --model cnn
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import dropkit
from dropkit.experiments.families import UNREGULARISED
from dropkit.report.plan import Arm


def draw(folder: Path, count: int = 60) -> None:
    """Noisy 12 x 12 pictures of discs and boxes."""
    rng = np.random.default_rng(0)
    for name in ("box", "disc"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture = Image.fromarray(rng.integers(0, 160, (12, 12), dtype=np.uint8))
            pen, (x, y) = ImageDraw.Draw(picture), rng.integers(0, 6, 2).tolist()
            shape = pen.ellipse if name == "disc" else pen.rectangle
            shape((x, y, x + 5, y + 5), fill=200)
            picture.save(folder / name / f"{number}.png")


def main() -> None:
    """Dropout of single units against dropout of whole channels, in a small convolutional network."""
    draw(Path("shapes"))
    result = dropkit.study(
        "shapes",
        model="cnn",
        arms=(
            UNREGULARISED,
            Arm("dropout 0.5", "dropout", rate=0.5),
            Arm("channels 0.2", "channels", rate=0.2, method="spatial_dropout"),
        ),
        pairs=6,  # a real study has 10 or more, and the arms that dropkit proposes
        epochs=8,
        workers=1,
        out="study-image",
        quiet=True,
    )
    print(*result.plan.notes, sep="\n")
    print(f"\n{result.verdict.headline}")


if __name__ == "__main__":
    main()
