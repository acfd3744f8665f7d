"""Helpers around training: label encoding, normalisation, seeds, the progress bar."""

from __future__ import annotations

from kerastorch.utils._numerical import normalize as normalize
from kerastorch.utils._numerical import to_categorical as to_categorical
from kerastorch.utils._progbar import Progbar as Progbar
from kerastorch.utils._seed import set_random_seed as set_random_seed
