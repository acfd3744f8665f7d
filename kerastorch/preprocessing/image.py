"""Pictures as arrays and in files."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from kerastorch.ops._image._sizes import resized as _resized
from kerastorch.utils import array_to_img as array_to_img
from kerastorch.utils import img_to_array as img_to_array
from kerastorch.utils import load_img as load_img
from kerastorch.utils import save_img as save_img


def smart_resize(
    x: Any,
    size: tuple[int, int],
    interpolation: str = "bilinear",
    data_format: str = "channels_last",
) -> Any:
    """The largest part in the middle that has the aspect ratio of `size` (height, width), resized.

    (H, W, C) or (B, H, W, C), or channels first. NumPy arrays give NumPy arrays, tensors give tensors.

    >>> import numpy as np, kerastorch as keras
    >>> keras.preprocessing.image.smart_resize(np.ones((9, 6, 3)), (2, 4)).shape
    (2, 4, 3)
    """
    images = torch.as_tensor(x)
    result = _resized(
        images if images.is_floating_point() else images.float(),
        size,
        interpolation,
        crop_to_aspect_ratio=True,
        data_format=data_format,
    )
    return result.numpy() if isinstance(x, np.ndarray) else result
