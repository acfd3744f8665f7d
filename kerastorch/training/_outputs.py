"""Losses and metrics by output: what `compile` was given, spread over the outputs of the model."""

from __future__ import annotations

import copy
import difflib
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from kerastorch import losses as losses_module
from kerastorch import metrics as metrics_module
from kerastorch.losses import Loss, check_targets
from kerastorch.losses._base import LossFunctionWrapper, is_ours
from kerastorch.metrics import Mean, MeanMetricWrapper, Metric


def leaves(structure: Any) -> list[Any]:
    """The tensors of a nest of outputs or targets."""
    if isinstance(structure, dict):
        return [leaf for item in structure.values() for leaf in leaves(item)]
    if isinstance(structure, (list, tuple)):
        return [leaf for item in structure for leaf in leaves(item)]
    return [structure]


def leaf(structure: Any) -> Any:
    """The only tensor of a nest."""
    return structure if isinstance(structure, torch.Tensor) else leaves(structure)[0]


def names_of(outputs: Any, declared: Sequence[str] | None) -> list[str]:
    """Names of the outputs: declared by the model, keys of a dict, else ``output_1``, ..."""
    count = len(leaves(outputs))
    if declared is not None and len(declared) == count:
        return list(declared)
    if isinstance(outputs, dict) and len(outputs) == count:
        return [str(key) for key in outputs]
    return [f"output_{i + 1}" for i in range(count)]


def spread(argument: str, value: Any, names: list[str], default: Any = None) -> list[Any]:
    """One entry an output from a single value (for all), a list (by position) or a dict (by name)."""
    if isinstance(value, dict):
        _check_keys(argument, value, names)
        return [value.get(name, default) for name in names]
    if isinstance(value, (list, tuple)):
        if len(value) != len(names):
            raise ValueError(
                f"`{argument}` has {len(value)} entries, the model has {len(names)} outputs: {names}."
            )
        return list(value)
    return [value] * len(names)


def _check_keys(argument: str, value: dict[Any, Any], names: list[str]) -> None:
    for key in value:
        if key not in names:
            close = difflib.get_close_matches(str(key), names, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"`{argument}` has the key {key!r}, which is not an output of the model: {names}.{hint}"
            )


def match(argument: str, values: Any, names: list[str], used: list[bool]) -> list[Any]:
    """Targets or weights by output. A list holds one entry for each output, or for each used one."""
    if isinstance(values, dict):
        _check_keys(argument, values, names)
        return [values.get(name) for name in names]
    flat = leaves(values) if isinstance(values, (list, tuple)) else [values]
    if len(flat) == len(names):
        return flat
    if len(flat) == sum(used):
        rest = iter(flat)
        return [next(rest) if use else None for use in used]
    if argument == "sample_weight" and len(flat) == 1:
        return flat * len(names)
    raise ValueError(f"`{argument}` has {len(flat)} entries for the {len(names)} outputs {names}.")


def only(argument: str, value: Any, names: list[str], declared: bool = True) -> Any:
    """The one tensor of a nest that belongs to the one output; its key counts if names are `declared`."""
    if value is None or isinstance(value, torch.Tensor):
        return value
    if isinstance(value, dict) and declared:
        _check_keys(argument, value, names)
    flat = leaves(value)
    if len(flat) > 1:
        raise ValueError(
            f"The model has one output, {names[0]!r}, `{argument}` has {len(flat)} entries."
        )
    return flat[0] if flat else None


def column(y: Any) -> Any:
    """Targets of shape (batch,) as (batch, 1)."""
    return y.unsqueeze(-1) if isinstance(y, torch.Tensor) and y.dim() == 1 else y


#: Names for what fits the shapes of the output; whether it is a cross-entropy.
_BY_SHAPE = {"accuracy": False, "acc": False, "Accuracy": False, "crossentropy": True, "ce": True}


# -- losses ------------------------------------------------------------------------------------------


class _FunctionLoss(LossFunctionWrapper):
    """A plain function ``f(y_true, y_pred)`` giving a scalar or one value a sample."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The function's values."""
        value = super().call(y_true, y_pred)
        if value is None:
            raise ValueError(
                f"The loss function {self.name!r} gave None: does it return its value?"
            )
        return value


class _Crossentropy(Loss):
    """``"crossentropy"``: the one that fits the shapes of targets and output."""

    def __init__(self) -> None:
        super().__init__(name="crossentropy")
        self.kinds = {name: losses_module.get(name) for name in _CROSSENTROPIES}

    def fitting(self, y_true: Any, y_pred: Any) -> Any:
        """One value a prediction: binary. Class numbers: sparse. Else one-hot rows."""
        given, output = tuple(column(y_true).shape), tuple(y_pred.shape)
        if len(output) < 2 or output[-1] == 1:
            return self.kinds["BinaryCrossentropy"]
        if len(given) < len(output) or given[-1] == 1:
            return self.kinds["SparseCategoricalCrossentropy"]
        return self.kinds["CategoricalCrossentropy"]

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return self.fitting(y_true, y_pred)(y_true, y_pred, sample_weight)


_CROSSENTROPIES = (
    "BinaryCrossentropy",
    "SparseCategoricalCrossentropy",
    "CategoricalCrossentropy",
)


def fitting(loss: Any, y_true: Any, y_pred: Any) -> Any:
    """The loss that is meant for these shapes: `loss` itself unless it goes by them."""
    return loss.fitting(y_true, y_pred) if isinstance(loss, _Crossentropy) else loss


class _TorchLoss:
    """A loss in torch's style, ``f(input, target)``, whose targets are passed as they are."""

    takes_raw_targets = True

    def __init__(self, loss: Any) -> None:
        self.loss = loss
        self.name = getattr(loss, "__name__", type(loss).__name__)
        self._unreduced: Any = None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if sample_weight is None:
            return self.loss(y_pred, y_true)
        if getattr(self.loss, "reduction", None) not in ("mean", "sum", "none"):
            raise ValueError(
                f"The loss {self.name} takes no sample weights: it has no `reduction` to switch off. "
                "Use a Keras loss or one with reduction='none'."
            )
        if self._unreduced is None:
            self._unreduced = copy.copy(self.loss)
            self._unreduced.reduction = "none"
        values = self._unreduced(y_pred, y_true)
        weight = sample_weight.reshape(sample_weight.shape[0], *(1,) * (values.dim() - 1))
        weighted = values * weight.to(values.dtype)
        return weighted.sum() if self.loss.reduction == "sum" else weighted.mean()


def as_loss(identifier: Any) -> Any:
    """A callable ``(y_true, y_pred, sample_weight)`` from what a user passes as loss."""
    if identifier is None or isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, str) and _BY_SHAPE.get(identifier):
        return _Crossentropy()
    if isinstance(identifier, nn.Module) or str(getattr(identifier, "__module__", "")).startswith(
        "torch.nn"
    ):
        return _TorchLoss(identifier() if isinstance(identifier, type) else identifier)
    if not isinstance(identifier, (str, dict)) and not callable(identifier):
        raise TypeError(
            f"`loss` must be a name, a Loss, a torch loss or a function (y_true, y_pred), received {identifier!r}."
        )
    found = losses_module.get(identifier)
    if isinstance(found, Loss):
        return found
    return LossFunctionWrapper(found) if is_ours(found) else _FunctionLoss(found)


def no_targets(name: str, loss: Any) -> str:
    """What to say when an output that has a loss has no targets."""
    return (
        f"Output {name!r} has the loss {getattr(loss, 'name', loss)!r} but no targets: "
        "pass `y`, or leave the loss of this output out."
    )


class CompiledLoss:
    """The weighted sum of the losses of all outputs."""

    def __init__(self, loss: Any, loss_weights: Any) -> None:
        self.given = loss
        self.weights_given = loss_weights
        for item in leaves(loss_weights):
            if item is not None and not isinstance(item, (int, float, torch.Tensor)):
                raise TypeError(
                    f"`loss_weights` must be numbers, received {item!r}. The order is "
                    "compile(optimizer, loss, loss_weights, metrics): pass metrics by name."
                )
        for item in leaves(loss):  # unknown names fail in compile, not at the first batch
            as_loss(item)
        self.built = False

    def build(self, outputs: Any, declared: Sequence[str] | None) -> None:
        """Spread the losses over the outputs."""
        names = names_of(outputs, declared)
        weights = spread("loss_weights", self.weights_given, names, default=1.0)
        chosen = [as_loss(item) for item in spread("loss", self.given, names)]
        if not any(chosen):
            raise ValueError(f"`loss` has no entry for any of the outputs {names}.")
        self.names = names
        self.declared = declared is not None or isinstance(outputs, dict)
        self.used = [loss is not None for loss in chosen]
        self.terms = [
            (i, name, loss, 1.0 if weight is None else weight)
            for i, (name, loss, weight) in enumerate(zip(names, chosen, weights, strict=True))
            if loss is not None
        ]
        self.trackers = [Mean(name=f"{name}_loss") for _, name, _, _ in self.terms]
        if len(names) == 1:
            self.trackers = []
        self.built = True

    def check_single(self, y: Any, shape: Any) -> None:
        """Look at the targets of a model that is known to have one output of this shape."""
        if shape is None or not isinstance(y, torch.Tensor) or isinstance(self.given, (list, dict)):
            return
        output = torch.empty([2 if n is None else n for n in shape], device="meta")
        loss = fitting(as_loss(self.given), y, output)
        doubt = check_targets(loss, y, shape) if isinstance(loss, Loss) else None
        if doubt is not None:
            warnings.warn(doubt, stacklevel=4)

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any) -> torch.Tensor:
        """The total; the losses of several outputs go to their trackers."""
        if len(self.names) == 1:
            _, _, loss, weight = self.terms[0]
            target = only("y", y, self.names, self.declared)
            own = only("sample_weight", sample_weight, self.names, self.declared)
            value = self._value(loss, target, leaf(y_pred), own, self.names[0])
            return value if weight == 1.0 else value * weight
        targets = match("y", y, self.names, self.used)
        predictions = leaves(y_pred)
        weights = (
            match("sample_weight", sample_weight, self.names, self.used)
            if sample_weight is not None
            else None
        )
        total: Any = None
        for (i, name, loss, weight), tracker in zip(self.terms, self.trackers, strict=True):
            own = None if weights is None else weights[i]
            value = self._value(loss, targets[i], predictions[i], own, name)
            tracker.update_state(value.detach(), sample_weight=predictions[i].shape[0])
            value = value if weight == 1.0 else value * weight
            total = value if total is None else total + value
        return total

    @staticmethod
    def _value(loss: Any, target: Any, prediction: Any, weight: Any, name: str) -> torch.Tensor:
        if target is None:
            raise ValueError(no_targets(name, loss))
        if not loss.takes_raw_targets:
            target = column(target)
        value = loss(target, prediction, weight) if weight is not None else loss(target, prediction)
        if not isinstance(value, torch.Tensor):
            raise ValueError(
                f"The loss of output {name!r} must give a tensor, received {type(value).__name__}: "
                "does the loss function return its value?"
            )
        return value if value.dim() == 0 else value.mean()


# -- metrics -----------------------------------------------------------------------------------------


class _TorchMetric(Metric):
    """A metric with ``update(preds, target)``, ``compute()`` and ``reset()``, as torchmetrics has."""

    def __init__(self, metric: Any) -> None:
        super().__init__(name=type(metric).__name__)
        self.metric = metric

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Pass the batch on, targets without the added axis."""
        if (y_true.dim() == 2 and y_true.shape[1] == 1 and y_pred.dim() != 2) or (
            y_true.dim() == 2 and y_true.shape[1] == 1 and y_pred.shape[-1] > 1
        ):
            y_true = y_true.squeeze(1)
        self.metric.update(y_pred, y_true)

    def result(self) -> Any:
        """What the metric computes."""
        return self.metric.compute()

    def reset_state(self) -> None:
        """Reset the metric."""
        self.metric.reset()


def as_metric(identifier: Any, y: Any, y_pred: Any) -> Metric:
    """A metric from a name, object or function; ``"accuracy"`` by the shapes of the output."""
    if isinstance(identifier, str) and identifier in _BY_SHAPE:
        target = None if y is None else tuple(column(y).shape)
        metric = metrics_module.resolve_accuracy(
            target, tuple(y_pred.shape), crossentropy=_BY_SHAPE[identifier]
        )
        metric.name = identifier
        return metric
    if isinstance(identifier, Metric):
        return identifier
    if hasattr(identifier, "update") and hasattr(identifier, "compute"):
        return _TorchMetric(identifier)
    found = metrics_module.get(identifier)
    if not isinstance(found, Metric):
        found = MeanMetricWrapper(found, name=getattr(found, "__name__", None))
    if isinstance(identifier, str):
        found.name = identifier
    return found


class CompiledMetrics:
    """The metrics of all outputs."""

    def __init__(self, metrics: Any, weighted_metrics: Any) -> None:
        for argument, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if given is not None and not isinstance(given, (list, tuple, dict)):
                raise TypeError(
                    f"`{argument}` must be a list of metrics, a list of lists, or a dict by output name, "
                    f"received {given!r}. Write {argument}=[...]."
                )
            for item in leaves(given):  # unknown names fail in compile
                if isinstance(item, str):
                    _ = item in _BY_SHAPE or metrics_module.get(item)
                elif item is not None and not callable(item) and not isinstance(item, dict):
                    raise TypeError(
                        f"`{argument}`: {item!r} is not a metric, a function or a name."
                    )
        self.given = ((metrics, False), (weighted_metrics, True))
        self.built = False
        self.metrics: list[Metric] = []

    def build(
        self, y: Any, y_pred: Any, declared: Sequence[str] | None, used: list[bool] | None
    ) -> None:
        """Spread the metrics over the outputs and name them. `used`: outputs that have a loss."""
        names = names_of(y_pred, declared)
        predictions = leaves(y_pred)
        measured = self._used(names)
        self.names, self.used = names, used or measured
        self.declared = declared is not None or isinstance(y_pred, dict)
        targets: list[Any] = [None] * len(names)
        if y is not None and any(measured):
            targets = self._by_output("y", y)
        for name, target, measure in zip(names, targets, measured, strict=True):
            if measure and target is None:
                raise ValueError(f"Output {name!r} has metrics but no targets.")
        self.entries: list[tuple[int, Metric, bool]] = []
        seen: dict[int, int] = {}
        for given, weighted in self.given:
            per_output = self._per_output(given, names)
            for i, items in enumerate(per_output):
                for item in items:
                    metric = as_metric(item, targets[i], predictions[i])
                    if seen.setdefault(id(metric), i) != i:
                        metric = copy.deepcopy(metric)
                    self.entries.append((i, metric, weighted))
        self.labels: list[str] = []
        for i, metric, _ in self.entries:
            label = metric.name if len(names) == 1 else f"{names[i]}_{metric.name}"
            self.labels.append(self._unique(label))
        self.metrics = [metric for _, metric, _ in self.entries]
        for metric in self.metrics:  # an object that was used before starts anew
            metric.reset_state()
        self._weighted = any(weighted for _, _, weighted in self.entries)
        self.built = True

    def _used(self, names: list[str]) -> list[bool]:
        used = [False] * len(names)
        for given, _ in self.given:
            for i, items in enumerate(self._per_output(given, names)):
                used[i] = used[i] or bool(items)
        return used

    @staticmethod
    def _per_output(given: Any, names: list[str]) -> list[list[Any]]:
        if given is None:
            return [[] for _ in names]
        nested = isinstance(given, (list, tuple)) and any(
            isinstance(g, (list, tuple)) for g in given
        )
        by_position = nested or (isinstance(given, (list, tuple)) and None in given)
        if isinstance(given, dict) or by_position:
            spread_out = spread("metrics", given, names)
        else:
            spread_out = [list(given)] * len(names)
        return [
            [] if item is None else list(item) if isinstance(item, (list, tuple)) else [item]
            for item in spread_out
        ]

    def _unique(self, label: str) -> str:
        if label not in self.labels:
            return label
        count = 1
        while f"{label}_{count}" in self.labels:
            count += 1
        warnings.warn(
            f"Two metrics are called {label!r}; the second is reported as '{label}_{count}'. "
            "Give metrics a `name` of their own.",
            stacklevel=2,
        )
        return f"{label}_{count}"

    def _by_output(self, argument: str, value: Any) -> list[Any]:
        if len(self.names) == 1:
            return [only(argument, value, self.names, self.declared)]
        return match(argument, value, self.names, self.used)

    def update(self, y: Any, y_pred: Any, sample_weight: Any) -> None:
        """Pass a batch to every metric."""
        targets = self._by_output("y", y)
        predictions = [leaf(y_pred)] if len(self.names) == 1 else leaves(y_pred)
        weights = None
        if self._weighted and sample_weight is not None:
            weights = self._by_output("sample_weight", sample_weight)
        for i, metric, weighted in self.entries:
            target = targets[i] if metric.takes_raw_targets else column(targets[i])
            own = weights[i] if weights is not None and weighted else None
            if own is None:
                metric.update_state(target, predictions[i].detach())
            else:
                metric.update_state(target, predictions[i].detach(), sample_weight=own)
