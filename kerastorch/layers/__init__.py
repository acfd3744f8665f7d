"""Layers: modules that are built when they first see a shape."""

from kerastorch.layers._conv import Conv1D as Conv1D
from kerastorch.layers._conv import Conv2D as Conv2D
from kerastorch.layers._core import Activation as Activation
from kerastorch.layers._core import Dense as Dense
from kerastorch.layers._core import Embedding as Embedding
from kerastorch.layers._core import Identity as Identity
from kerastorch.layers._core import Lambda as Lambda
from kerastorch.layers._input import Input as Input
from kerastorch.layers._input import InputLayer as InputLayer
from kerastorch.layers._layer import Layer as Layer
from kerastorch.layers._merging import Add as Add
from kerastorch.layers._merging import Concatenate as Concatenate
from kerastorch.layers._merging import add as add
from kerastorch.layers._merging import concatenate as concatenate
from kerastorch.layers._normalization import BatchNormalization as BatchNormalization
from kerastorch.layers._pooling import GlobalMaxPooling1D as GlobalMaxPooling1D
from kerastorch.layers._pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from kerastorch.layers._pooling import MaxPooling2D as MaxPooling2D
from kerastorch.layers._regularization import Dropout as Dropout
from kerastorch.layers._reshaping import Flatten as Flatten

Convolution1D = Conv1D
Convolution2D = Conv2D
MaxPool2D = MaxPooling2D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
