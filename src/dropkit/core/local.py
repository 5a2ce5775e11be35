"""Local reparameterisation: the law of a linear map's output where its input is multiplied by noise.

Noise of mean 1 and variance alpha, apart for each weight, gives outputs that are sums of independent terms:
their mean is that of the map itself, their variance is below. Whoever samples the outputs instead of the
weights draws one number an output (Wang and Manning 2013; Kingma et al. 2015). Written with operators alone,
for arrays and tensors alike.
"""

from __future__ import annotations

from typing import Any

__all__ = ["carried", "deviation", "variance"]


def variance(x: Any, weight: Any, alpha: Any) -> Any:
    """Return the variance of each output: the sum over inputs i of x_i**2 alpha weight_ji**2.

    Args:
        x: inputs `(..., in)`.
        weight: `(out, in)`.
        alpha: the variance of the noise, at least 0; broadcasts to `weight`.

    >>> import numpy
    >>> variance(numpy.array([[1.0, 2.0]]), numpy.array([[3.0, 1.0]]), 0.5)
    array([[6.5]])
    """
    return (x * x) @ (alpha * weight * weight).T


def carried(variance: Any, weight: Any) -> Any:
    """Return the variance of each output whose inputs are independent and have variances of their own.

    >>> import numpy
    >>> carried(numpy.array([[1.0, 2.0]]), numpy.array([[3.0, 1.0]]))
    array([[11.]])
    """
    return variance @ (weight * weight).T


def deviation(variance: Any) -> Any:
    """Return the square root, whose slope at 0 is taken as 0: there nothing is random.

    >>> import numpy
    >>> deviation(numpy.array([0.0, 4.0]))
    array([0., 2.])
    """
    nothing = variance <= 0
    return (variance * ~nothing + nothing) ** 0.5 * ~nothing
