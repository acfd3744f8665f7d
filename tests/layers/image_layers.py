"""Layers for pictures, each with a configuration, and pictures for them."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Layers that draw: their arguments.
RANDOM: dict[str, dict[str, Any]] = {
    "RandomFlip": {},
    "RandomCrop": {"height": 5, "width": 4},
    "RandomTranslation": {"height_factor": 0.3, "width_factor": (-0.2, 0.4)},
    "RandomRotation": {"factor": (-0.1, 0.2)},
    "RandomZoom": {"height_factor": 0.4, "fill_mode": "constant"},
    "RandomShear": {"x_factor": 0.3, "y_factor": (0.1, 0.2)},
    "RandomContrast": {"factor": (0.5, 0.6)},
    "RandomBrightness": {"factor": 0.4},
    "RandomGrayscale": {"factor": 0.5},
    "RandomErasing": {"fill_value": 5.0},
    "RandomInvert": {"factor": (0.5, 0.5)},
    "RandomGaussianBlur": {"factor": (1.0, 1.0), "kernel_size": 5},
    "RandomHue": {"factor": 0.5},
    "RandomSaturation": {"factor": (0.1, 0.9)},
    "RandomColorJitter": {
        "brightness_factor": 0.2,
        "contrast_factor": (0.1, 0.2),
        "saturation_factor": (0.3, 0.7),
        "hue_factor": 0.3,
    },
    "RandomColorDegeneration": {"factor": (0.0, 0.8)},
    "RandomPosterization": {"factor": (1, 6)},
    "RandomSharpness": {"factor": (0.0, 1.0)},
    "Solarization": {"threshold_factor": (0.0, 0.9)},
    "RandomPerspective": {"scale": 0.5},
    "RandomElasticTransform": {"scale": (0.5, 1.0)},
    "MixUp": {"alpha": 0.5},
    "CutMix": {"factor": 1.0},
    "RandAugment": {"num_ops": 1},
    "AugMix": {"num_chains": 2, "chain_depth": 1},
}
#: Those that leave the size as it is.
SAME_SIZE = [name for name in RANDOM if name != "RandomCrop"]
#: All of them.
ALL = {
    **RANDOM,
    "Resizing": {"height": 5, "width": 4},
    "CenterCrop": {"height": 5, "width": 4},
    "MaxNumBoundingBoxes": {"max_number": 2},
    "AutoContrast": {},
    "Equalization": {},
}


def pictures(dtype: str = "float32", count: int = 3) -> np.ndarray:
    """A batch of `count` pictures of 9 by 7 pixels with values from 0 to 255."""
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (count, 9, 7, 3)).astype(dtype)
