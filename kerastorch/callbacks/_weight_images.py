"""Weights as the pictures that TensorBoard's tab Images shows."""

from __future__ import annotations

import io
from typing import Any

import torch

MOST = 3  # pictures of one weight


def weight_images(weight: torch.Tensor) -> torch.Tensor | None:
    """Pictures ``(number, height, width, channels)`` of a weight as bytes, None if it has none.

    Axes of length 1 are dropped. A vector is a column; a matrix lies on its side; a kernel of a
    convolution is a picture for each of the first filters, where it has 1 or 3 input channels.
    Zero is mid-grey, the greatest absolute value white or black.

    >>> import torch
    >>> weight_images(torch.tensor([-2.0, 0.0, 1.0])).flatten().tolist()
    [0, 128, 191]
    >>> weight_images(torch.zeros(784, 64)).shape, weight_images(torch.zeros(5, 5, 3, 32)).shape
    (torch.Size([1, 64, 784, 1]), torch.Size([3, 5, 5, 3]))
    """
    values = weight.detach().float().nan_to_num(0.0, 0.0, 0.0).squeeze()
    if values.numel() == 0 or values.ndim == 0:
        return None
    if values.ndim == 1:
        values = values[None, :, None, None]
    elif values.ndim == 2:
        height, width = values.shape
        values = (values.T if height > width else values)[None, :, :, None]
    elif values.ndim == 3:
        values = values.permute(2, 0, 1)[..., None]
    elif values.ndim == 4 and values.shape[2] == 3:
        values = values.permute(3, 0, 1, 2)
    else:
        return None
    values = values[:MOST]
    scale = values.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    return (values / scale * 127.5 + 127.5).round().to(torch.uint8)


def image_summary(tag: str, images: torch.Tensor) -> Any:
    """The ``Summary`` of some pictures under one tag: width, height and the PNGs."""
    from tensorboard.compat.proto import summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2

    _, height, width, _ = images.shape
    strings = [str(width).encode(), str(height).encode(), *map(_png, images)]
    axis = tensor_shape_pb2.TensorShapeProto.Dim(size=len(strings))
    tensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING,
        string_val=strings,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=[axis]),
    )
    metadata = summary_pb2.SummaryMetadata(
        plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="images"),
        data_class=summary_pb2.DATA_CLASS_BLOB_SEQUENCE,
    )
    value = summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=metadata)
    return summary_pb2.Summary(value=[value])


def _png(image: torch.Tensor) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image.squeeze(-1).cpu().numpy()).save(file, "PNG")
    return file.getvalue()
