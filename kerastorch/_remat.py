"""Less memory for more work."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch.utils.checkpoint import checkpoint


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, which keeps no intermediate tensors for the backward pass and computes them there again.

    `f` is a function or a layer: ``torch.utils.checkpoint``. Chen et al., 2016.

    >>> import torch, kerastorch as keras
    >>> x = torch.ones(2, requires_grad=True)
    >>> keras.remat(lambda x: torch.exp(x) ** 2)(x).sum().backward()
    >>> x.grad
    tensor([14.7781, 14.7781])
    """

    @functools.wraps(f, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(f, *args, use_reentrant=False, **kwargs)

    return wrapped
