"""Helpers around training: label encoding, normalisation, seeds, the progress bar, batches, plots."""

from __future__ import annotations

import importlib as _importlib
from typing import Any as _Any

from kerastorch.data import PyDataset as PyDataset
from kerastorch.data import Sequence as Sequence
from kerastorch.data import pack_x_y_sample_weight as pack_x_y_sample_weight
from kerastorch.data import unpack_x_y_sample_weight as unpack_x_y_sample_weight
from kerastorch.saving import CustomObjectScope as CustomObjectScope
from kerastorch.saving import custom_object_scope as custom_object_scope
from kerastorch.saving import deserialize_keras_object as deserialize_keras_object
from kerastorch.saving import get_custom_objects as get_custom_objects
from kerastorch.saving import get_registered_name as get_registered_name
from kerastorch.saving import get_registered_object as get_registered_object
from kerastorch.saving import register_keras_serializable as register_keras_serializable
from kerastorch.saving import serialize_keras_object as serialize_keras_object
from kerastorch.utils._get_file import get_file as get_file
from kerastorch.utils._numerical import normalize as normalize
from kerastorch.utils._numerical import to_categorical as to_categorical
from kerastorch.utils._progbar import Progbar as Progbar
from kerastorch.utils._seed import set_random_seed as set_random_seed

# What needs packages above this one, imported when it is first asked for.
_LATER = {
    "model_to_dot": "kerastorch.models._plot",
    "plot_model": "kerastorch.models._plot",
}


def __getattr__(name: str) -> _Any:
    if name in _LATER:
        return getattr(_importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATER])
