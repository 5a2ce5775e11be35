import torch

from dropkit.torch.run import constant


def test_a_function_is_marked_as_torch_marks_it() -> None:
    def one() -> int:
        return 1

    def other() -> int:
        return 1

    torch.compiler.assume_constant_result(other)  # type: ignore[no-untyped-call]  # torch declares no types
    assert vars(constant(one)) == vars(other) != {}
