"""Data from folders and series, pictures and sequences, under the names of TF 2; most are also in `utils`."""

from kerastorch.preprocessing import image as image
from kerastorch.preprocessing import sequence as sequence
from kerastorch.preprocessing._directories import (
    image_dataset_from_directory as image_dataset_from_directory,
)
from kerastorch.preprocessing._directories import (
    text_dataset_from_directory as text_dataset_from_directory,
)
from kerastorch.utils import timeseries_dataset_from_array as timeseries_dataset_from_array
