"""From what users bring to batches ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``."""

from kerastorch.data._adapt import adapt as adapt
from kerastorch.data._batches import ArrayBatches as ArrayBatches
from kerastorch.data._batches import Batches as Batches
from kerastorch.data._batches import IterableBatches as IterableBatches
from kerastorch.data._dataset import AUTOTUNE as AUTOTUNE
from kerastorch.data._dataset import INFINITE_CARDINALITY as INFINITE_CARDINALITY
from kerastorch.data._dataset import UNKNOWN_CARDINALITY as UNKNOWN_CARDINALITY
from kerastorch.data._dataset import Dataset as Dataset
from kerastorch.data._device import carried as carried
from kerastorch.data._device import placed as placed
from kerastorch.data._device import settle as settle
from kerastorch.data._epochs import Epochs as Epochs
from kerastorch.data._py_dataset import PyDataset as PyDataset
from kerastorch.data._py_dataset import Sequence as Sequence
from kerastorch.data._tensors import split as split
from kerastorch.data._tensors import to_batch as to_batch
from kerastorch.data._tensors import to_tensors as to_tensors
from kerastorch.data._unpack import pack_x_y_sample_weight as pack_x_y_sample_weight
from kerastorch.data._unpack import unpack_x_y_sample_weight as unpack_x_y_sample_weight
