"""From what users bring to batches ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``."""

from kerastorch.data._batches import ArrayBatches as ArrayBatches
from kerastorch.data._batches import Batches as Batches
from kerastorch.data._batches import adapt as adapt
from kerastorch.data._batches import split as split
from kerastorch.data._batches import to_tensors as to_tensors
from kerastorch.data._unpack import pack_x_y_sample_weight as pack_x_y_sample_weight
from kerastorch.data._unpack import unpack_x_y_sample_weight as unpack_x_y_sample_weight
