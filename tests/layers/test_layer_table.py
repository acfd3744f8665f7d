"""The table is complete."""

import inspect

from image_layers import ALL
from layer_table import CASES, FEW

from kerastorch import layers

NOT_CALLED_ON_DATA = {"Input", "InputLayer", "Layer", "TorchModuleWrapper", "Wrapper"}
# Without gradients, most of them without Keras on torch: test_preprocessing.py.
TABLES = {"CategoryEncoding", "Discretization", "HashedCrossing", "Hashing", "IntegerLookup"}
TABLES |= {"StringLookup", "TextVectorization"}
# Pictures: test_image_layers*.py.
PICTURES = {*ALL, "Pipeline"}
# test_sound.py.
SOUND = {"MelSpectrogram", "ReversibleEmbedding", "STFTSpectrogram"}
# Called by RNN, and on their own in test_recurrent.py.
CELLS = {"LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells"}


def test_every_exported_layer_is_in_the_table() -> None:
    classes = (v for v in vars(layers).values() if inspect.isclass(v))
    exported = {c.__name__ for c in classes if issubclass(c, layers.Layer)}
    exported -= NOT_CALLED_ON_DATA | CELLS | TABLES | PICTURES | SOUND
    assert exported == {case.layer for case in CASES} == {case.layer for case in FEW}


def test_cases_have_names_of_their_own() -> None:
    assert len({str(case) for case in CASES}) == len(CASES)


def test_aliases_are_the_classes() -> None:
    assert layers.Convolution1D is layers.Conv1D
    assert layers.Convolution2D is layers.Conv2D
    assert layers.MaxPool2D is layers.MaxPooling2D
    assert layers.GlobalMaxPool1D is layers.GlobalMaxPooling1D
    assert layers.GlobalMaxPool2D is layers.GlobalMaxPooling2D
