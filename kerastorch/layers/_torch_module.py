"""`TorchModuleWrapper`: a module of torch as a layer."""

from __future__ import annotations

from typing import Any

from torch import nn

from kerastorch.layers._layer import Layer


class TorchModuleWrapper(Layer):
    """A layer that calls a module of torch.

    Models and layers take modules as they are, so this is for code that has it already, and for the name, the
    dtype policy and the masks of a layer. A model with one is rebuilt by its own code and `load_weights`: modules
    have no configuration.

    Args:
        module: an `nn.Module`.
        output_shape: taken for Keras's sake; the shape comes from running the module.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.TorchModuleWrapper(torch.nn.Linear(3, 2), name="linear")
    >>> layer(torch.ones(4, 3)).shape, [tuple(w.shape) for w in layer.weights]
    (torch.Size([4, 2]), [(2, 3), (2,)])
    """

    def __init__(
        self, module: nn.Module, name: str | None = None, output_shape: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"TorchModuleWrapper: `module` must be a torch.nn.Module, received {module!r}."
            )
        self.module = module
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the module gives."""
        return self.module(*args, **kwargs)
