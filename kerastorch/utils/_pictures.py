"""Pictures in files, as objects of Pillow and as arrays."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from kerastorch.config import floatx, standardize_data_format

if TYPE_CHECKING:
    from PIL.Image import Image

_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_GREY = ("L", "I;16", "I")
_METHODS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def array_to_img(
    x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None
) -> Image:
    """An array (H, W, C), or (C, H, W), with 1, 3 or 4 channels as a picture of Pillow.

    `scale` spreads the values over 0 to 255; without it they are taken as they are.

    >>> import numpy as np, kerastorch as keras
    >>> keras.utils.array_to_img(np.ones((2, 3, 4))).mode
    'RGBA'
    """
    from PIL import Image

    x = np.array(x, dtype=dtype or floatx())
    if x.ndim != 3:
        raise ValueError(
            f"array_to_img: expected an array of three axes, received shape {x.shape}."
        )
    if standardize_data_format(data_format) == "channels_first":
        x = x.transpose(1, 2, 0)
    if x.shape[2] not in (1, 3, 4):
        raise ValueError(f"array_to_img: expected 1, 3 or 4 channels, received {x.shape[2]}.")
    if scale:
        x = x - x.min()
        x = x / (x.max() or 1) * 255
    if x.shape[2] == 1:
        return Image.fromarray(x[..., 0].astype("int32" if x.max() > 255 else "uint8"))
    return Image.fromarray(x.astype("uint8"))


def img_to_array(
    img: Any, data_format: str | None = None, dtype: Any = None
) -> np.ndarray[Any, Any]:
    """A picture of Pillow as an array (H, W, C), or (C, H, W), of `dtype` (default `floatx`).

    >>> import numpy as np, kerastorch as keras
    >>> keras.utils.img_to_array(keras.utils.array_to_img(np.ones((2, 3, 4)))).shape
    (2, 3, 4)
    """
    x = np.asarray(img, dtype=dtype or floatx())
    if x.ndim not in (2, 3):
        raise ValueError(f"img_to_array: expected two or three axes, received shape {x.shape}.")
    x = x if x.ndim == 3 else x[..., np.newaxis]
    first = standardize_data_format(data_format) == "channels_first"
    return x.transpose(2, 0, 1) if first else x


def save_img(
    path: str | os.PathLike[str] | IO[bytes],
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array (see `array_to_img`) to a file; `file_format` when left out is what the name says.

    >>> import io, numpy as np, kerastorch as keras
    >>> keras.utils.save_img(file := io.BytesIO(), np.ones((2, 3, 3)), file_format="png")
    >>> keras.utils.load_img(file).size
    (3, 2)
    """
    if file_format is None and isinstance(path, (str, os.PathLike)):
        file_format = Path(path).suffix[1:]
    kind = {"jpg": "jpeg"}.get((file_format or "").lower(), file_format)
    img = array_to_img(x, data_format, scale)
    if img.mode == "RGBA" and kind == "jpeg":
        warnings.warn("JPEG has no fourth channel: it is left out.", stacklevel=2)
        img = img.convert("RGB")
    img.save(path, kind or None, **kwargs)


def load_img(
    path: str | os.PathLike[str] | IO[bytes],
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Image:
    """The picture in a file, as one of Pillow.

    Args:
        color_mode: ``"rgb"``, ``"rgba"`` or ``"grayscale"``.
        target_size: (height, width), to resize it.
        interpolation: ``"nearest"``, ``"bilinear"``, ``"bicubic"``, ``"lanczos"``, ``"box"`` or ``"hamming"``.
        keep_aspect_ratio: cut off what does not fit, in place of distorting.
    """
    from PIL import Image

    if color_mode not in _MODES:
        raise ValueError(
            f"load_img: `color_mode` must be one of {list(_MODES)}, received {color_mode!r}."
        )
    if interpolation not in _METHODS:
        raise ValueError(
            f"load_img: `interpolation` must be one of {_METHODS}, received {interpolation!r}."
        )
    with Image.open(path) as opened:
        opened.load()
        mode = _MODES[color_mode]
        fits = opened.mode == mode or (mode == "L" and opened.mode in _GREY)
        img: Image.Image = opened.copy() if fits else opened.convert(mode)
    if target_size is None or img.size == (target_size[1], target_size[0]):
        return img
    height, width = target_size
    box = None
    if keep_aspect_ratio:
        w, h = img.size
        new_w, new_h = min(w, h * width // height), min(h, w * height // width)
        left, top = (w - new_w) // 2, (h - new_h) // 2
        box = left, top, left + new_w, top + new_h
    return img.resize((width, height), Image.Resampling[interpolation.upper()], box)
