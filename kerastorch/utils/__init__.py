"""Helpers around training: label encoding, normalisation, seeds, the progress bar, batches by number."""

from __future__ import annotations

from kerastorch.data import PyDataset as PyDataset
from kerastorch.data import PyDataset as Sequence
from kerastorch.data import pack_x_y_sample_weight as pack_x_y_sample_weight
from kerastorch.data import unpack_x_y_sample_weight as unpack_x_y_sample_weight
from kerastorch.utils._numerical import normalize as normalize
from kerastorch.utils._numerical import to_categorical as to_categorical
from kerastorch.utils._progbar import Progbar as Progbar
from kerastorch.utils._seed import set_random_seed as set_random_seed
