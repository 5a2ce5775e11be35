"""The contract of every dropout, public: prove your own method with the tests that ours must pass.

Needs SciPy (`pip install 'dropkit[study]'`).
"""

from dropkit.testing.contract import Finding, Report, examine
from dropkit.testing.declared import Declared, Shapes, shapes_for
from dropkit.testing.registry import FALSE_ALARM, share
from dropkit.testing.subject import Built, Subject, numpy_subject, of, subject_of

__all__ = [
    "FALSE_ALARM",
    "Built",
    "Declared",
    "Finding",
    "Report",
    "Shapes",
    "Subject",
    "examine",
    "numpy_subject",
    "of",
    "shapes_for",
    "share",
    "subject_of",
]
