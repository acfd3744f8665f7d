"""Every function of `nn` and `image` in one graph, and without making a tensor on another device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from oracle import leaves, operation

import kerastorch as kt

X = torch.rand(2, 6, 8, 3, generator=torch.Generator().manual_seed(0))
SEQUENCE = X[:, :, 0]
LABELS = torch.tensor([[1, 2], [2, 1]])
LENGTHS = torch.tensor([6, 5]), torch.tensor([2, 1])
WEIGHT = torch.ones(3)
POINTS = torch.tensor([[0.0, 0.0], [7.0, 0.0], [0.0, 5.0], [7.0, 5.0]])
CALLS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(
        ("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "sigmoid", "log_sigmoid", "hard_sigmoid",
         "sparse_sigmoid", "hard_tanh", "softsign", "softplus", "squareplus", "sparse_plus", "silu",
         "hard_silu", "gelu", "hard_shrink", "soft_shrink", "tanh_shrink", "softmax", "log_softmax",
         "sparsemax", "normalize", "layer_normalization", "rms_normalization"),
        (X,),
    ),
    "threshold": (X, 0.5, 0.0),
    "glu": (X, 1),
    "moments": (X, [0, 1]),
    "batch_normalization": (X, WEIGHT, WEIGHT, -1, WEIGHT, WEIGHT),
    "conv": (X, torch.ones(3, 3, 3, 4), 2, "same"),
    "depthwise_conv": (X, torch.ones(3, 3, 3, 2), 1, "same"),
    "separable_conv": (X, torch.ones(3, 3, 3, 2), torch.ones(1, 1, 6, 4)),
    "conv_transpose": (X, torch.ones(3, 3, 4, 3), 2, "same"),
    "max_pool": (X, 2, 1, "same"),
    "average_pool": (X, 2, 2, "same"),
    "adaptive_max_pool": (X, 3),
    "adaptive_average_pool": (X, 3),
    "unfold": (X, 2),
    "fold": (torch.ones(2, 8, 12), (6, 8), 2, 1, 0, 2),
    "depth_to_space": (X.movedim(-1, 1).reshape(2, 6, 6, 4), 2),
    "space_to_depth": (X, 2),
    "one_hot": (LABELS, 4),
    "multi_hot": (LABELS, 4),
    "polar": (X, X),
    "binary_crossentropy": (X, X),
    "categorical_crossentropy": (X, X),
    "sparse_categorical_crossentropy": (LABELS, X[:, :2, 0]),
    "psnr": (X, X + 1, 1.0),
    "dot_product_attention": (X, X, X, None, torch.ones(1, 6, 6, dtype=torch.bool), 0.5, True),
    "ctc_decode": (SEQUENCE, LENGTHS[0]),
    "ctc_loss": (LABELS, SEQUENCE, LENGTHS[1], LENGTHS[0]),
    "rearrange": (X, "b h w c -> b (h w) c"),
    "image.resize": (X, (4, 4), "bicubic", True),
    "image.scale_and_translate": (X, (2, 4, 4, 3), torch.ones(2), torch.ones(2), (1, 2), "lanczos3"),
    "image.affine_transform": (X, torch.ones(8), "bilinear", "reflect"),
    "image.perspective_transform": (X, POINTS, POINTS + 0.1),
    "image.map_coordinates": (SEQUENCE[0], X[0, 0, :2], 1),
    "image.elastic_transform": (X,),
    "image.crop_images": (X, 1, 1, 1, 1),
    "image.pad_images": (X, 1, 1, 1, 1),
    "image.extract_patches": (X, 2),
    "image.extract_patches_3d": (X.unsqueeze(1), 1),
    "image.gaussian_blur": (X,),
    "image.sobel_edges": (X,),
    "image.ssim": (X, X, 1.0, 3),
    "image.rgb_to_grayscale": (X,),
    "image.rgb_to_hsv": (X,),
    "image.hsv_to_rgb": (X,),
}  # fmt: skip
#: Torch's kernel reads the lengths on the host; the noise is drawn anew in every call.
NOT_IN_GRAPHS = ("ctc_loss",)
RANDOM = ("image.elastic_transform",)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in NOT_IN_GRAPHS])
def test_everything_is_made_on_the_device_of_the_data(name: str) -> None:
    args = [a.to("meta") if isinstance(a, torch.Tensor) else a for a in CALLS[name]]
    results = leaves(operation(kt, name)(*args))
    wanted = leaves(operation(kt, name)(*CALLS[name]))
    assert all(result.is_meta for result in results)
    assert [(r.shape, r.dtype) for r in results] == [(w.shape, w.dtype) for w in wanted]


def test_all_in_one_graph() -> None:
    names = [name for name in CALLS if name not in (*NOT_IN_GRAPHS, *RANDOM)]
    functions = [operation(kt, name) for name in names]
    arguments = [CALLS[name] for name in names]

    def everything(arguments: list[tuple[Any, ...]]) -> list[Any]:
        return [function(*args) for function, args in zip(functions, arguments, strict=True)]

    compiled = torch.compile(everything, fullgraph=True, backend="eager")
    for name, found, wanted in zip(names, compiled(arguments), everything(arguments), strict=True):
        for mine, other in zip(leaves(found), leaves(wanted), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6, err_msg=name)


def test_beam_search_in_a_graph() -> None:
    def decode(x: torch.Tensor, lengths: torch.Tensor) -> Any:
        return kt.ops.ctc_decode(x, lengths, "beam_search", 3, 2)

    compiled = torch.compile(decode, fullgraph=True, backend="eager")
    args = SEQUENCE, LENGTHS[0]
    for mine, other in zip(compiled(*args), decode(*args), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5)
