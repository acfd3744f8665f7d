"""Models: `Model` by subclassing or from symbolic tensors, and `Sequential`."""

from kerastorch.models._clone import clone_model as clone_model
from kerastorch.models._functional import Functional as Functional
from kerastorch.models._model import Model as Model
from kerastorch.models._model import model_from_json as model_from_json
from kerastorch.models._sequential import Sequential as Sequential
from kerastorch.saving._model import load_model as load_model
from kerastorch.saving._model import save_model as save_model
