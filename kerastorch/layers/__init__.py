"""Layers: modules that are built when they first see a shape."""

from kerastorch.layers._activations import ELU as ELU
from kerastorch.layers._activations import LeakyReLU as LeakyReLU
from kerastorch.layers._activations import PReLU as PReLU
from kerastorch.layers._activations import ReLU as ReLU
from kerastorch.layers._activations import Softmax as Softmax
from kerastorch.layers._attention import AdditiveAttention as AdditiveAttention
from kerastorch.layers._attention import Attention as Attention
from kerastorch.layers._attention import GroupQueryAttention as GroupQueryAttention
from kerastorch.layers._attention import MultiHeadAttention as MultiHeadAttention
from kerastorch.layers._cells import RNN as RNN
from kerastorch.layers._cells import GRUCell as GRUCell
from kerastorch.layers._cells import LSTMCell as LSTMCell
from kerastorch.layers._cells import SimpleRNNCell as SimpleRNNCell
from kerastorch.layers._cells import StackedRNNCells as StackedRNNCells
from kerastorch.layers._conv import Conv1D as Conv1D
from kerastorch.layers._conv import Conv2D as Conv2D
from kerastorch.layers._conv import Conv3D as Conv3D
from kerastorch.layers._conv import DepthwiseConv1D as DepthwiseConv1D
from kerastorch.layers._conv import DepthwiseConv2D as DepthwiseConv2D
from kerastorch.layers._conv import SeparableConv1D as SeparableConv1D
from kerastorch.layers._conv import SeparableConv2D as SeparableConv2D
from kerastorch.layers._conv_lstm import ConvLSTM1D as ConvLSTM1D
from kerastorch.layers._conv_lstm import ConvLSTM2D as ConvLSTM2D
from kerastorch.layers._conv_lstm import ConvLSTM3D as ConvLSTM3D
from kerastorch.layers._conv_transpose import Conv1DTranspose as Conv1DTranspose
from kerastorch.layers._conv_transpose import Conv2DTranspose as Conv2DTranspose
from kerastorch.layers._conv_transpose import Conv3DTranspose as Conv3DTranspose
from kerastorch.layers._core import Activation as Activation
from kerastorch.layers._core import Dense as Dense
from kerastorch.layers._core import Embedding as Embedding
from kerastorch.layers._core import Identity as Identity
from kerastorch.layers._core import Lambda as Lambda
from kerastorch.layers._einsum_dense import EinsumDense as EinsumDense
from kerastorch.layers._input import Input as Input
from kerastorch.layers._input import InputLayer as InputLayer
from kerastorch.layers._input_spec import InputSpec as InputSpec
from kerastorch.layers._layer import Layer as Layer
from kerastorch.layers._lookup import deserialize as deserialize
from kerastorch.layers._lookup import serialize as serialize
from kerastorch.layers._masking import Masking as Masking
from kerastorch.layers._merging import Add as Add
from kerastorch.layers._merging import Average as Average
from kerastorch.layers._merging import Concatenate as Concatenate
from kerastorch.layers._merging import Dot as Dot
from kerastorch.layers._merging import Maximum as Maximum
from kerastorch.layers._merging import Minimum as Minimum
from kerastorch.layers._merging import Multiply as Multiply
from kerastorch.layers._merging import Subtract as Subtract
from kerastorch.layers._merging import add as add
from kerastorch.layers._merging import average as average
from kerastorch.layers._merging import concatenate as concatenate
from kerastorch.layers._merging import dot as dot
from kerastorch.layers._merging import maximum as maximum
from kerastorch.layers._merging import minimum as minimum
from kerastorch.layers._merging import multiply as multiply
from kerastorch.layers._merging import subtract as subtract
from kerastorch.layers._normalization import BatchNormalization as BatchNormalization
from kerastorch.layers._normalization import GroupNormalization as GroupNormalization
from kerastorch.layers._normalization import LayerNormalization as LayerNormalization
from kerastorch.layers._normalization import RMSNormalization as RMSNormalization
from kerastorch.layers._normalization import SpectralNormalization as SpectralNormalization
from kerastorch.layers._normalization import UnitNormalization as UnitNormalization
from kerastorch.layers._pooling import AdaptiveAveragePooling1D as AdaptiveAveragePooling1D
from kerastorch.layers._pooling import AdaptiveAveragePooling2D as AdaptiveAveragePooling2D
from kerastorch.layers._pooling import AdaptiveAveragePooling3D as AdaptiveAveragePooling3D
from kerastorch.layers._pooling import AdaptiveMaxPooling1D as AdaptiveMaxPooling1D
from kerastorch.layers._pooling import AdaptiveMaxPooling2D as AdaptiveMaxPooling2D
from kerastorch.layers._pooling import AdaptiveMaxPooling3D as AdaptiveMaxPooling3D
from kerastorch.layers._pooling import AveragePooling1D as AveragePooling1D
from kerastorch.layers._pooling import AveragePooling2D as AveragePooling2D
from kerastorch.layers._pooling import AveragePooling3D as AveragePooling3D
from kerastorch.layers._pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
from kerastorch.layers._pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
from kerastorch.layers._pooling import GlobalAveragePooling3D as GlobalAveragePooling3D
from kerastorch.layers._pooling import GlobalMaxPooling1D as GlobalMaxPooling1D
from kerastorch.layers._pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from kerastorch.layers._pooling import GlobalMaxPooling3D as GlobalMaxPooling3D
from kerastorch.layers._pooling import MaxPooling1D as MaxPooling1D
from kerastorch.layers._pooling import MaxPooling2D as MaxPooling2D
from kerastorch.layers._pooling import MaxPooling3D as MaxPooling3D
from kerastorch.layers._preprocessing._category import CategoryEncoding as CategoryEncoding
from kerastorch.layers._preprocessing._discretization import Discretization as Discretization
from kerastorch.layers._preprocessing._hashing import HashedCrossing as HashedCrossing
from kerastorch.layers._preprocessing._hashing import Hashing as Hashing
from kerastorch.layers._preprocessing._images._geometry import RandomCrop as RandomCrop
from kerastorch.layers._preprocessing._images._geometry import RandomFlip as RandomFlip
from kerastorch.layers._preprocessing._images._geometry import RandomRotation as RandomRotation
from kerastorch.layers._preprocessing._images._geometry import RandomShear as RandomShear
from kerastorch.layers._preprocessing._images._geometry import (
    RandomTranslation as RandomTranslation,
)
from kerastorch.layers._preprocessing._images._geometry import RandomZoom as RandomZoom
from kerastorch.layers._preprocessing._images._histograms import AutoContrast as AutoContrast
from kerastorch.layers._preprocessing._images._histograms import Equalization as Equalization
from kerastorch.layers._preprocessing._images._hues import (
    RandomColorDegeneration as RandomColorDegeneration,
)
from kerastorch.layers._preprocessing._images._hues import RandomColorJitter as RandomColorJitter
from kerastorch.layers._preprocessing._images._hues import RandomHue as RandomHue
from kerastorch.layers._preprocessing._images._hues import RandomSaturation as RandomSaturation
from kerastorch.layers._preprocessing._images._intensity import RandomBrightness as RandomBrightness
from kerastorch.layers._preprocessing._images._intensity import RandomContrast as RandomContrast
from kerastorch.layers._preprocessing._images._intensity import RandomGrayscale as RandomGrayscale
from kerastorch.layers._preprocessing._images._intensity import RandomInvert as RandomInvert
from kerastorch.layers._preprocessing._images._intensity import (
    RandomPosterization as RandomPosterization,
)
from kerastorch.layers._preprocessing._images._intensity import Solarization as Solarization
from kerastorch.layers._preprocessing._images._max_boxes import (
    MaxNumBoundingBoxes as MaxNumBoundingBoxes,
)
from kerastorch.layers._preprocessing._images._mixing import CutMix as CutMix
from kerastorch.layers._preprocessing._images._mixing import MixUp as MixUp
from kerastorch.layers._preprocessing._images._policies import AugMix as AugMix
from kerastorch.layers._preprocessing._images._policies import RandAugment as RandAugment
from kerastorch.layers._preprocessing._images._resizing import CenterCrop as CenterCrop
from kerastorch.layers._preprocessing._images._resizing import Resizing as Resizing
from kerastorch.layers._preprocessing._images._warps import (
    RandomElasticTransform as RandomElasticTransform,
)
from kerastorch.layers._preprocessing._images._warps import RandomPerspective as RandomPerspective
from kerastorch.layers._preprocessing._images._windows import RandomErasing as RandomErasing
from kerastorch.layers._preprocessing._images._windows import (
    RandomGaussianBlur as RandomGaussianBlur,
)
from kerastorch.layers._preprocessing._images._windows import RandomSharpness as RandomSharpness
from kerastorch.layers._preprocessing._lookup import IntegerLookup as IntegerLookup
from kerastorch.layers._preprocessing._lookup import StringLookup as StringLookup
from kerastorch.layers._preprocessing._normalization import Normalization as Normalization
from kerastorch.layers._preprocessing._normalization import Rescaling as Rescaling
from kerastorch.layers._preprocessing._pipeline import Pipeline as Pipeline
from kerastorch.layers._preprocessing._sound import MelSpectrogram as MelSpectrogram
from kerastorch.layers._preprocessing._sound import STFTSpectrogram as STFTSpectrogram
from kerastorch.layers._preprocessing._text import TextVectorization as TextVectorization
from kerastorch.layers._recurrent import GRU as GRU
from kerastorch.layers._recurrent import LSTM as LSTM
from kerastorch.layers._recurrent import SimpleRNN as SimpleRNN
from kerastorch.layers._regularization import ActivityRegularization as ActivityRegularization
from kerastorch.layers._regularization import AlphaDropout as AlphaDropout
from kerastorch.layers._regularization import Dropout as Dropout
from kerastorch.layers._regularization import GaussianDropout as GaussianDropout
from kerastorch.layers._regularization import GaussianNoise as GaussianNoise
from kerastorch.layers._regularization import SpatialDropout1D as SpatialDropout1D
from kerastorch.layers._regularization import SpatialDropout2D as SpatialDropout2D
from kerastorch.layers._regularization import SpatialDropout3D as SpatialDropout3D
from kerastorch.layers._reshaping import Cropping1D as Cropping1D
from kerastorch.layers._reshaping import Cropping2D as Cropping2D
from kerastorch.layers._reshaping import Cropping3D as Cropping3D
from kerastorch.layers._reshaping import Flatten as Flatten
from kerastorch.layers._reshaping import Permute as Permute
from kerastorch.layers._reshaping import RepeatVector as RepeatVector
from kerastorch.layers._reshaping import Reshape as Reshape
from kerastorch.layers._reshaping import UpSampling1D as UpSampling1D
from kerastorch.layers._reshaping import UpSampling2D as UpSampling2D
from kerastorch.layers._reshaping import UpSampling3D as UpSampling3D
from kerastorch.layers._reshaping import ZeroPadding1D as ZeroPadding1D
from kerastorch.layers._reshaping import ZeroPadding2D as ZeroPadding2D
from kerastorch.layers._reshaping import ZeroPadding3D as ZeroPadding3D
from kerastorch.layers._reversible_embedding import ReversibleEmbedding as ReversibleEmbedding
from kerastorch.layers._torch_module import TorchModuleWrapper as TorchModuleWrapper
from kerastorch.layers._wrappers import Bidirectional as Bidirectional
from kerastorch.layers._wrappers import TimeDistributed as TimeDistributed
from kerastorch.layers._wrappers import Wrapper as Wrapper

Convolution1D = Conv1D
Convolution2D = Conv2D
Convolution3D = Conv3D
SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D
Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
