"""The contract: what every dropout promises, examined trait by trait."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from dropkit.core.check import OneOf
from dropkit.core.key import Key
from dropkit.core.method import TRAITS
from dropkit.testing import laws, passes, structure
from dropkit.testing.exam import Exam, NotApplicable, Result
from dropkit.testing.subject import Subject

__all__ = ["CHECKS", "Finding", "Report", "Status", "examine"]

Status = Literal["passed", "failed", "waived", "not applicable"]

CHECKS: tuple[tuple[str, Callable[[Exam], Result]], ...] = (
    ("rate", laws.rate_at_every_position),
    ("rate", laws.planted),
    ("moments", laws.values),
    ("moments", laws.law),
    ("moments", structure.schedule),
    ("mean", laws.mean),
    ("groups", structure.groups),
    ("independence", laws.independence),
    ("independence", laws.counts),
    ("independence", laws.repetition),
    ("eval", structure.evaluation),
    ("eval", structure.state),
    ("gradient", passes.gradient),
    ("key", structure.key),
    ("key", structure.twin),
    ("key", structure.window),
    ("key", passes.inputs),
    ("key", passes.layouts),
    ("key", passes.untouched),
    ("key", structure.description),
    ("edges", structure.edges),
    ("edges", passes.nonfinite),
)
"""What examines each trait."""

_WAIVABLE = OneOf((*TRAITS, *(check.__name__ for _, check in CHECKS)))


@dataclass(frozen=True)
class Finding:
    """What one check says of one subject.

    Args:
        trait: a key of `dropkit.core.method.TRAITS`.
        check: the name of the check.
        status: passed, failed, waived by the subject, or not applicable to it.
        figure: what was measured: a p-value, a number of wrong entries, an error in ulp.
        bound: what the figure must keep to.
        sentence: the same in words.
    """

    trait: str
    check: str
    status: Status
    figure: float
    bound: float
    sentence: str

    def __str__(self) -> str:
        measured = f"({self.figure:.3g}, bound {self.bound:.3g})"
        return f"{self.status:14} {self.trait:12} {self.check}: {self.sentence} {measured}"


@dataclass(frozen=True)
class Report:
    """The findings about one subject, in the order of the contract."""

    subject: str
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[Finding, ...]:
        """What does not hold."""
        return tuple(finding for finding in self.findings if finding.status == "failed")

    @property
    def passed(self) -> bool:
        """Whether everything that was examined holds."""
        return not self.failed

    def __str__(self) -> str:
        return "\n".join([self.subject, *map(str, self.findings)])

    def check(self) -> None:
        """Raise AssertionError with the failed findings, if there are any: the line for a test."""
        if self.failed:
            raise AssertionError("\n".join([f"{self.subject} breaks the contract:", *map(str, self.failed)]))


def examine(subject: Subject, key: int | Key = 0, traits: Iterable[str] = tuple(TRAITS)) -> Report:
    """Examine a method by the traits that it declares.

    Args:
        subject: the method, as `Subject` describes it; `numpy_subject`, `torch_subject`, `layer_subject`,
            `module_subject` and `of` make one.
        key: the key of the examination. All tests together raise a false alarm with probability 1e-6 over
            keys.
        traits: which traits to examine, by default all.

    Returns:
        The findings; `report.check()` raises where one failed.

    Raises:
        DropkitError: a trait is unknown, or what the subject waives is neither a trait nor a check.

    >>> from dropkit import Drop
    >>> from dropkit.testing import numpy_subject
    >>> examine(numpy_subject(lambda rate: Drop(rate, "b c h w -> b c")), traits=["groups"]).passed
    True
    """
    wanted = {OneOf(tuple(TRAITS)).check("traits", trait) for trait in traits}
    for name in subject.waived:
        _WAIVABLE.check("waived", name)
    exam = Exam(subject, Key.of(key))
    return Report(
        subject.name, tuple(_find(exam, trait, check) for trait, check in CHECKS if trait in wanted)
    )


def _find(exam: Exam, trait: str, check: Callable[[Exam], Result]) -> Finding:
    name = check.__name__
    waived = exam.subject.waived.get(name) or exam.subject.waived.get(trait)
    if waived:
        return Finding(trait, name, "waived", 0, 0, waived)
    try:
        result = check(exam)
    except NotApplicable as reason:
        return Finding(trait, name, "not applicable", 0, 0, str(reason))
    except Exception as error:  # whatever a stranger's method raises is a finding about it
        return Finding(trait, name, "failed", 1, 0, f"raised {type(error).__name__}: {error}")
    return Finding(trait, name, "passed" if result.passed else "failed", *result[1:])
