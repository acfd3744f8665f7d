"""Trigonometric and hyperbolic functions of single entries. Integers become `floatx`."""

from __future__ import annotations

import torch

from kerastorch.ops._elementwise import wide
from kerastorch.ops._op import Array, floating, op


@op
def sin(x: Array) -> torch.Tensor:
    """The sine of angles in radians.

    >>> import kerastorch as keras
    >>> keras.ops.sin([0.0, 1.0])
    tensor([0.0000, 0.8415])
    """
    return torch.sin(floating(x))


@op
def cos(x: Array) -> torch.Tensor:
    """The cosine of angles in radians.

    >>> import kerastorch as keras
    >>> keras.ops.cos([0.0, 1.0])
    tensor([1.0000, 0.5403])
    """
    return torch.cos(floating(x))


@op
def tan(x: Array) -> torch.Tensor:
    """The tangent of angles in radians.

    >>> import kerastorch as keras
    >>> keras.ops.tan([0.0, 1.0])
    tensor([0.0000, 1.5574])
    """
    return torch.tan(floating(x))


@op
def arcsin(x: Array) -> torch.Tensor:
    """The angle between -pi/2 and pi/2 whose sine is `x`.

    >>> import kerastorch as keras
    >>> keras.ops.arcsin([0.0, 1.0])
    tensor([0.0000, 1.5708])
    """
    return torch.arcsin(floating(x))


@op
def arccos(x: Array) -> torch.Tensor:
    """The angle between 0 and pi whose cosine is `x`.

    >>> import kerastorch as keras
    >>> keras.ops.arccos([0.0, 1.0])
    tensor([1.5708, 0.0000])
    """
    return torch.arccos(floating(x))


@op
def arctan(x: Array) -> torch.Tensor:
    """The angle between -pi/2 and pi/2 whose tangent is `x`.

    >>> import kerastorch as keras
    >>> keras.ops.arctan([0.0, 1.0])
    tensor([0.0000, 0.7854])
    """
    return torch.arctan(floating(x))


@op
def sinh(x: Array) -> torch.Tensor:
    """The hyperbolic sine ``(exp(x) - exp(-x)) / 2``.

    >>> import kerastorch as keras
    >>> keras.ops.sinh([0.0, 1.0])
    tensor([0.0000, 1.1752])
    """
    return torch.sinh(floating(x))


@op
def cosh(x: Array) -> torch.Tensor:
    """The hyperbolic cosine ``(exp(x) + exp(-x)) / 2``.

    >>> import kerastorch as keras
    >>> keras.ops.cosh([0.0, 1.0])
    tensor([1.0000, 1.5431])
    """
    return torch.cosh(floating(x))


@op
def tanh(x: Array) -> torch.Tensor:
    """The hyperbolic tangent ``sinh(x) / cosh(x)``.

    >>> import kerastorch as keras
    >>> keras.ops.tanh([0.0, 1.0])
    tensor([0.0000, 0.7616])
    """
    return torch.tanh(floating(x))


@op
def arcsinh(x: Array) -> torch.Tensor:
    """The number whose hyperbolic sine is `x`.

    >>> import kerastorch as keras
    >>> keras.ops.arcsinh([0.0, 1.0])
    tensor([0.0000, 0.8814])
    """
    return torch.arcsinh(floating(x))


@op
def arccosh(x: Array) -> torch.Tensor:
    """The number not below 0 whose hyperbolic cosine is `x`.

    >>> import kerastorch as keras
    >>> keras.ops.arccosh([1.0, 2.0])
    tensor([0.0000, 1.3170])
    """
    return torch.arccosh(floating(x))


@op
def arctanh(x: Array) -> torch.Tensor:
    """The number whose hyperbolic tangent is `x`.

    >>> import kerastorch as keras
    >>> keras.ops.arctanh([0.0, 0.5])
    tensor([0.0000, 0.5493])
    """
    return torch.arctanh(floating(x))


@op
def sinc(x: Array) -> torch.Tensor:
    """``sin(pi x) / (pi x)``, 1 at 0.

    >>> import kerastorch as keras
    >>> keras.ops.sinc([0.0, 0.5])
    tensor([1.0000, 0.6366])
    """
    return torch.sinc(floating(x))


@op
def deg2rad(x: Array) -> torch.Tensor:
    """Degrees as radians.

    >>> import kerastorch as keras
    >>> keras.ops.deg2rad([90, 180])
    tensor([1.5708, 3.1416])
    """
    return torch.deg2rad(wide(x))


@op
def rad2deg(x: Array) -> torch.Tensor:
    """Radians as degrees.

    >>> import kerastorch as keras
    >>> keras.ops.rad2deg([0.0, 1.0])
    tensor([ 0.0000, 57.2958])
    """
    return torch.rad2deg(wide(x))
