import torch

from dropkit.experiments.augment import shifted
from dropkit.testing.registry import share
from dropkit.testing.stats import binomial, joint


def moved_to(share_of_size: float, size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    """Where the one bright pixel in the middle of many images goes, as moves (down, right)."""
    height, width = size
    images = torch.zeros(4000, 2, height, width)
    images[:, :, height // 2, width // 2] = torch.tensor([1.0, 2.0])
    found = shifted(images, share_of_size, torch.Generator().manual_seed(seed))
    assert found.shape == images.shape
    at = found.nonzero()
    assert len(at) == 8000  # both channels of every image, moved together
    assert torch.equal(at[::2, 2:], at[1::2, 2:])
    return at[::2, 2:] - torch.tensor([height // 2, width // 2])


def test_images_move_by_up_to_their_share_each_way() -> None:
    moves = moved_to(0.2, (10, 20))
    assert sorted(set(moves[:, 0].tolist())) == [-2, -1, 0, 1, 2]
    assert sorted(set(moves[:, 1].tolist())) == list(range(-4, 5))


def test_a_small_image_moves_by_a_pixel_at_least() -> None:
    assert sorted(set(moved_to(0.01, (4, 4))[:, 0].tolist())) == [-1, 0, 1]


def test_every_move_is_as_likely_and_the_axes_are_independent() -> None:
    moves = moved_to(0.1, (10, 10))
    counts = [int((moves == torch.tensor(move)).all(1).sum()) for move in ((-1, -1), (0, 0), (1, -1))]
    assert joint([binomial(count, 4000, 1 / 9) for count in counts]) > share("study")


def test_what_moves_in_is_zero_and_what_stays_is_the_image() -> None:
    images = torch.arange(1.0, 26.0).reshape(1, 1, 5, 5).expand(50, 1, 5, 5)
    for found in shifted(images, 0.3, torch.Generator().manual_seed(0))[:, 0]:
        kept = found[found != 0]
        assert set((kept[1:] - kept[:-1]).tolist()) <= {1.0, 2.0, 3.0}  # in reading order
        assert float(found.sum()) == float(kept.sum())
        row, column = (found == 13.0).nonzero()[0].tolist()
        rows, columns = slice(max(row - 2, 0), row + 3), slice(max(column - 2, 0), column + 3)
        expected = torch.zeros(5, 5)
        expected[rows, columns] = images[0, 0][
            max(2 - row, 0) : 5 + min(2 - row, 0), max(2 - column, 0) : 5 + min(2 - column, 0)
        ]
        assert torch.equal(found, expected)
