"""What each layer is in torch: a constructor, its weights, and an expression. One entry a class.

An entry is a function of a `Site`, a layer where it is called, and gives a `Part`. Text that it puts
into the source is its own, a number, or goes through `literal`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kerastorch import activations, layers
from kerastorch._graph import KerasTensor, input_tensor
from kerastorch.layers._conv import same_padding


class Part(NamedTuple):
    """A layer in torch. In `call`, ``{m}`` is the module, ``{0}``, ``{1}`` its inputs, ``{dim}`` the
    axis of the channels."""

    call: str
    make: str | None = None
    weights: Mapping[str, Tensor] = {}
    layout: str = "keras"  # "first": takes and gives channels first; "any": gives what it is given
    helper: str | None = None


class Site(NamedTuple):
    """A call of a layer."""

    layer: Any
    inputs: list[KerasTensor]
    kwargs: dict[str, Any]

    @property
    def shape(self) -> Any:
        """The shape of the first input, batch axis included."""
        return self.inputs[0].shape

    def refuse(self, what: str) -> Any:
        """Raise: the layer does what no entry can say."""
        raise NotImplementedError(
            f"to_torch: {self.layer._title()} {what}, for which there is no torch code here. "
            "Use model.export(...), which takes every model."
        )


def literal(value: Any) -> str:
    """`value` as source: numbers, strings, names of torch, and containers of them."""
    if isinstance(value, (torch.dtype, torch.device)):
        return str(value) if isinstance(value, torch.dtype) else f"torch.device({str(value)!r})"
    if isinstance(value, slice):
        return f"slice({literal(value.start)}, {literal(value.stop)}, {literal(value.step)})"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, (list, tuple)):
        items = ", ".join(map(literal, value))
        if isinstance(value, list):
            return f"[{items}]"
        return f"({items},)" if len(value) == 1 else f"({items})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
    if value is Ellipsis:
        return "..."
    if type(value) is str:
        text = repr(value)
        return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text
    if value is None or type(value) in (bool, int, float):
        return repr(value)
    raise TypeError(f"to_torch: {value!r:.60} of type {type(value).__name__} cannot be written.")


def made(kind: str, *args: Any, **kwargs: Any) -> str:
    """Source of a constructor call; options that are None are left out."""
    given = [literal(a) for a in args]
    given += [f"{k}={literal(v)}" for k, v in kwargs.items() if v is not None]
    return f"{kind}({', '.join(given)})"


# -- activations -------------------------------------------------------------------------------------

_FUNCTIONS = {
    "relu": "F.relu({0})", "leaky_relu": "F.leaky_relu({0}, 0.2)", "relu6": "F.relu6({0})",
    "elu": "F.elu({0})", "selu": "F.selu({0})", "celu": "F.celu({0})", "gelu": "F.gelu({0})",
    "silu": "F.silu({0})", "mish": "F.mish({0})", "sigmoid": "torch.sigmoid({0})",
    "tanh": "torch.tanh({0})", "hard_sigmoid": "F.hardsigmoid({0})", "hard_tanh": "F.hardtanh({0})",
    "hard_silu": "F.hardswish({0})", "log_sigmoid": "F.logsigmoid({0})",
    "softplus": "F.softplus({0})", "softsign": "F.softsign({0})", "exponential": "torch.exp({0})",
    "hard_shrink": "F.hardshrink({0})", "soft_shrink": "F.softshrink({0})",
    "tanh_shrink": "F.tanhshrink({0})", "softmax": "torch.softmax({0}, {dim})",
    "log_softmax": "torch.log_softmax({0}, {dim})", "glu": "F.glu({0}, {dim})", "linear": "{0}",
}  # fmt: skip


def activated(site: Site, function: Any, inner: str) -> str:
    """The expression `inner` in an activation function."""
    if function is None:
        return inner
    name = getattr(function, "__name__", "")
    if function is getattr(activations, name, None) and name in _FUNCTIONS:
        return _FUNCTIONS[name].replace("{0}", inner)
    found = function_name(function)
    if found is None:
        site.refuse(f"has the activation {function!r:.60}")
    return f"{found}({inner})"


def function_name(function: Any) -> str | None:
    """How torch calls a function, in a file that imports ``torch`` and ``F``."""
    name = getattr(function, "__name__", "")
    if not name.isidentifier() or name.startswith("_"):
        return None
    spaces = {"torch": torch, "F": F, "torch.linalg": torch.linalg, "torch.special": torch.special,
              "torch.fft": torch.fft}  # fmt: skip
    return next((f"{s}.{name}" for s, m in spaces.items() if getattr(m, name, 0) is function), None)


# -- core --------------------------------------------------------------------------------------------


def _weights(**tensors: Tensor | None) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def _no_bias(bias: Any) -> bool | None:
    """The option `bias`, where it is not torch's default."""
    return False if bias is None else None


def _dense(site: Site) -> Part:
    layer = site.layer
    make = made("nn.Linear", *layer.kernel.shape, bias=_no_bias(layer.bias))
    call = activated(site, layer.activation, "{m}({0})")
    return Part(call, make, _weights(weight=layer.kernel.T, bias=layer.bias))


def _einsum_dense(site: Site) -> Part:
    layer = site.layer
    bias = None if layer.bias is None else tuple(layer.bias.shape)
    make = made("EinsumDense", layer.equation, tuple(layer.kernel.shape), bias)
    call = activated(site, layer.activation, "{m}({0})")
    return Part(call, make, _weights(kernel=layer.kernel, bias=layer.bias), helper="EinsumDense")


def _embedding(site: Site) -> Part:
    table = site.layer.embeddings
    return Part("{m}({0})", made("nn.Embedding", *table.shape), {"weight": table})


def _activation(site: Site) -> Part:
    call = activated(site, site.layer.activation, "{0}")
    return Part(call, layout="any")


def _relu(site: Site) -> Part:
    layer = site.layer
    if layer.threshold:
        site.refuse("has a `threshold`")
    slope, top = layer.negative_slope, layer.max_value
    call = f"F.leaky_relu({{0}}, {literal(slope)})" if slope else "F.relu({0})"
    return Part(call if top is None else f"{call}.clamp(max={literal(top)})", layout="any")


def _prelu(site: Site) -> Part:
    alpha = site.layer.alpha
    if alpha.numel() != alpha.shape[-1]:
        site.refuse("has slopes that differ by position")
    moved = alpha.numel() > 1 and alpha.dim() > 1
    make = made("nn.PReLU", alpha.numel())
    return Part("{m}({0})", make, {"weight": alpha.flatten()}, "first" if moved else "keras")


def _softmax(site: Site) -> Part:
    axis = site.layer.axis
    if not isinstance(axis, int):
        site.refuse("is over several axes")
    return Part(f"torch.softmax({{0}}, {axis})")


# -- convolutions and windows --------------------------------------------------------------------------


def _sizes(site: Site) -> Any:
    """Of the axes of space; they must be known where ``"same"`` depends on them."""
    sizes = site.shape[1:-1] if site.layer._channels_last else site.shape[2:]
    if None in sizes:
        site.refuse('pads by "same" with strides, and the input has axes of unknown size')
    return sizes


def _layout(layer: Any) -> str:
    return "first" if layer._channels_last else "keras"


def _pad(x: str, pads: Any) -> str:
    """Pad or cut the last axes of the expression `x` by pairs."""
    flat = [n for pair in reversed(list(pads)) for n in pair]
    return f"F.pad({x}, {literal(tuple(flat))})" if any(flat) else x


def _default(value: tuple[int, ...], usual: int) -> Any:
    """A number or a tuple; None where it is torch's default."""
    short = value[0] if len(set(value)) == 1 else value
    return None if short == usual else short


def _window(site: Site, channels: int, filters: int, groups: int, bias: Any) -> tuple[str, str]:
    """Constructor and call of a convolution."""
    layer = site.layer
    pads = layer._pads
    if pads is None:
        pads = same_padding(_sizes(site), layer.kernel_size, layer.strides, layer.dilation_rate)
    even = all(before == after for before, after in pads)
    make = made(
        f"nn.Conv{layer.rank}d", channels, filters, _default(layer.kernel_size, 0),
        stride=_default(layer.strides, 1),
        padding=_default(tuple(before for before, _ in pads), 0) if even else None,
        dilation=_default(layer.dilation_rate, 1), groups=None if groups == 1 else groups,
        bias=_no_bias(bias),
    )  # fmt: skip
    return make, "{m}({0})" if even else "{m}(" + _pad("{0}", pads) + ")"


def _conv(site: Site) -> Part:
    layer = site.layer
    make, call = _window(site, layer._channels, layer.filters, layer.groups, layer.bias)
    weights = _weights(weight=layer.kernel.permute(layer._to_weight), bias=layer.bias)
    return Part(activated(site, layer.activation, call), make, weights, _layout(layer))


def _depthwise(site: Site) -> Part:
    layer = site.layer
    kernel, n = layer.kernel, layer._channels
    make, call = _window(site, n, n * layer.depth_multiplier, n, layer.bias)
    weight = kernel.permute(layer._to_weight).flatten(0, 1).unsqueeze(1)
    weights = _weights(weight=weight, bias=layer.bias)
    return Part(activated(site, layer.activation, call), make, weights, _layout(layer))


def _separable(site: Site) -> Part:
    layer = site.layer
    n, wide = layer._channels, layer._channels * layer.depth_multiplier
    first, call = _window(site, n, wide, n, None)
    second = made(f"nn.Conv{layer.rank}d", wide, layer.filters, 1, bias=_no_bias(layer.bias))
    weight = layer.depthwise_kernel.permute(layer._to_weight).flatten(0, 1).unsqueeze(1)
    weights = {"0.weight": weight, "1.weight": layer.pointwise_kernel.movedim((-1, -2), (0, 1))}
    weights |= {} if layer.bias is None else {"1.bias": layer.bias}
    call, make = activated(site, layer.activation, call), f"nn.Sequential({first}, {second})"
    return Part(call, make, weights, _layout(layer))


def _transpose(site: Site) -> Part:
    layer = site.layer
    if any(after > 0 for _, after in layer._after):
        site.refuse("has windows smaller than its strides")
    make = made(
        f"nn.ConvTranspose{layer.rank}d", layer._channels, layer.filters,
        _default(layer.kernel_size, 0), stride=_default(layer.strides, 1),
        padding=_default(layer._cut, 0), output_padding=_default(layer._extend, 0),
        bias=_no_bias(layer.bias), dilation=_default(layer.dilation_rate, 1),
    )  # fmt: skip
    call = activated(site, layer.activation, _pad("{m}({0})", layer._after))
    weights = _weights(weight=layer.kernel.permute(layer._to_weight), bias=layer.bias)
    return Part(call, make, weights, _layout(layer))


def _pool(kind: str, **options: Any) -> Entry:
    def entry(site: Site) -> Part:
        layer = site.layer
        stride = None if layer.strides == layer.pool_size else _default(layer.strides, 0)
        more, cut = {}, [0]
        if layer.padding == "same":
            one = (1,) * layer.rank
            sizes = one if layer.strides == one else _sizes(site)
            padding, cut = layer._same(sizes)
            more = {"padding": _default(padding, 0), "ceil_mode": True, **options}
        size = _default(layer.pool_size, 0)
        make = made(f"nn.{kind}{layer.rank}d", size, stride=stride, **more)
        last = ", ".join(["...", *(f"{n}:" if n else ":" for n in cut)])
        return Part(f"{{m}}({{0}})[{last}]" if any(cut) else "{m}({0})", make, {}, _layout(layer))

    return entry


def _adaptive(kind: str) -> Entry:
    def entry(site: Site) -> Part:
        layer = site.layer
        make = made(f"nn.{kind}{layer.rank}d", _default(layer.output_size, 0))
        return Part("{m}({0})", make, {}, _layout(layer))

    return entry


def _global(method: str) -> Entry:
    def entry(site: Site) -> Part:
        layer = site.layer
        mask = site.kwargs.pop("mask", None)
        if mask is not None:
            if layer.keepdims or not layer._channels_last:
                site.refuse("has a mask, with `keepdims` or channels first")
            site.inputs.append(mask)
            return Part("masked_mean({0}, {1})", helper="masked_mean")
        keep = ", keepdim=True" if layer.keepdims else ""
        if layer._channels_last:
            return Part(f"{{0}}.{method}({{over}}{keep})", layout="any")
        return Part(f"{{0}}.{method}({literal(layer._over)}{keep})")

    return entry


def _upsampling(site: Site) -> Part:
    layer = site.layer
    mode = getattr(layer, "interpolation", "nearest")
    if mode.startswith("lanczos"):
        site.refuse(f"interpolates by {mode}")
    smooth = None if mode == "nearest" else mode
    make = made("nn.Upsample", scale_factor=_default(layer._times, 0), mode=smooth)
    return Part("{m}({0})", make, {}, _layout(layer))


def _padded(name: str, sign: int) -> Entry:
    def entry(site: Site) -> Part:
        pads = [(sign * a, sign * b) for a, b in getattr(site.layer, name)]
        return Part(_pad("{0}", [*pads, (0, 0)] if site.layer._channels_last else pads))

    return entry


# -- normalizations ------------------------------------------------------------------------------------


def _affine(layer: Any) -> dict[str, Tensor]:
    """weight and bias of a normalization; where the layer has only one of them, the other is neutral."""
    if layer.gamma is None and layer.beta is None:
        return {}
    like = layer.beta if layer.gamma is None else layer.gamma
    ones, zeros = torch.ones_like(like), torch.zeros_like(like)
    return {
        "weight": ones if layer.gamma is None else layer.gamma,
        "bias": zeros if layer.beta is None else layer.beta,
    }


def _moved(site: Site, axis: int) -> str:
    """The layout in which the axis of the channels is 1."""
    rank = len(site.shape)
    if axis % rank == 1:
        return "keras"
    return "first" if axis % rank == rank - 1 else site.refuse(f"is over axis {axis}")


def _batch_norm(site: Site) -> Part:
    layer = site.layer
    site.kwargs.pop("mask", None)  # which counts in training only
    weights = _affine(layer)
    rank, momentum = max(len(site.shape) - 2, 1), round(1 - layer.momentum, 12)
    make = made(
        f"nn.BatchNorm{rank}d", len(layer.moving_mean), eps=layer.epsilon, momentum=momentum,
        affine=None if weights else False,
    )  # fmt: skip
    weights |= {"running_mean": layer.moving_mean, "running_var": layer.moving_variance}
    weights["num_batches_tracked"] = torch.tensor(0)
    return Part("{m}({0})", make, weights, _moved(site, layer.axis))


def _layer_norm(site: Site) -> Part:
    layer = site.layer
    if not layer._last:
        site.refuse("is not over the last axes")
    weights = _affine(layer)
    affine = None if weights else False
    shape = layer._shape[0] if len(layer._shape) == 1 else layer._shape
    make = made("nn.LayerNorm", shape, eps=layer.epsilon, elementwise_affine=affine)
    return Part("{m}({0})", make, weights)


def _group_norm(site: Site) -> Part:
    layer = site.layer
    channels = site.shape[layer._at]
    weights = _affine(layer)
    affine = None if weights else False
    make = made("nn.GroupNorm", layer._parts, channels, eps=layer.epsilon, affine=affine)
    return Part("{m}({0})", make, weights, _moved(site, layer._at))


def _unit_norm(site: Site) -> Part:
    axis = site.layer.axis
    axes = axis if isinstance(axis, int) else site.refuse("is over several axes")
    return Part(f"F.normalize({{0}}, dim={axes}, eps=1e-12)")


def _rms_norm(site: Site) -> Part:
    layer = site.layer
    if not layer._last:
        site.refuse("is not over the last axes")
    shape = layer._shape[0] if len(layer._shape) == 1 else layer._shape
    return Part("{m}({0})", made("nn.RMSNorm", shape, eps=layer.epsilon), {"weight": layer.scale})


# -- dropout -------------------------------------------------------------------------------------------


def _dropout(kind: str, option: str = "rate", helper: str | None = None) -> Entry:
    def entry(site: Site) -> Part:
        layer = site.layer
        if getattr(layer, "noise_shape", None) is not None and not hasattr(layer, "rank"):
            site.refuse("has a `noise_shape`")
        spatial = hasattr(layer, "rank")
        last = not spatial or layer.data_format == "channels_last"
        layout = "any" if not spatial else "first" if last else "keras"
        return Part("{m}({0})", made(kind, getattr(layer, option)), {}, layout, helper)

    return entry


# -- recurrences ---------------------------------------------------------------------------------------

_KINDS = {"lstm": "nn.LSTM", "gru": "nn.GRU", "tanh": "nn.RNN", "relu": "nn.RNN"}


def _torch_rnn(site: Site, kind: Any, cells: list[Any]) -> tuple[str, dict[str, Tensor]]:
    if kind is None:
        site.refuse("has other activations than torch's kernels, or `reset_after=False`")
    if site.layer.stateful:
        site.refuse("is stateful")
    make = made(
        _KINDS[kind], cells[0].kernel.shape[0], cells[0].units, batch_first=True,
        bias=_no_bias(cells[0].bias), bidirectional=True if len(cells) == 2 else None,
        nonlinearity="relu" if kind == "relu" else None,
    )  # fmt: skip
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    ends = zip(("", "_reverse"), cells, strict=False)
    return make, {
        name + end: weight
        for end, cell in ends
        for name, weight in zip(names, cell.torch_weights(), strict=False)
    }


def _recurrent(site: Site) -> Part:
    layer = site.layer
    make, weights = _torch_rnn(site, layer.cell.kind(), [layer.cell])
    lstm = layer.cell.kind() == "lstm"
    x = "{0}.flip(1)" if layer.go_backwards else "{0}"
    if len(site.inputs) > 1:
        given = [f"{{{i}}}.unsqueeze(0)" for i in range(1, len(site.inputs))]
        x += f", ({', '.join(given)})" if lstm else f", {given[0]}"
    output = "[0]" if layer.return_sequences else "[0][:, -1]"
    if layer.return_state:
        flags = literal(layer.return_sequences)
        return Part(f"with_states({{m}}({x}), {flags})", make, weights, helper="with_states")
    return Part(f"{{m}}({x}){output}", make, weights)


def _bidirectional(site: Site) -> Part:
    layer = site.layer
    kind = layer._one_kernel(None, False)
    if len(site.inputs) > 1 or layer.return_state or layer.merge_mode is None:
        site.refuse("takes or gives states, or does not merge its outputs")
    make, weights = _torch_rnn(site, kind, [layer.forward_layer.cell, layer.backward_layer.cell])
    if layer.return_sequences:
        if layer.merge_mode == "concat":
            return Part("{m}({0})[0]", make, weights)
        pair = "{m}({0})[0].unflatten(-1, (2, -1))"
        over = "-2"
    else:
        states = "{m}({0})[1][0]" if kind == "lstm" else "{m}({0})[1]"
        if layer.merge_mode == "concat":
            return Part(f"torch.cat(tuple({states}), -1)", make, weights)
        pair, over = states, "0"
    method = {"sum": "sum", "mul": "prod", "ave": "mean"}[layer.merge_mode]
    return Part(f"{pair}.{method}({over})", make, weights)


def _time_distributed(site: Site) -> Part:
    """The layer on all steps as one batch."""
    inner = site.layer.layer
    step = input_tensor(None, (None, *site.shape[2:]), site.inputs[0].dtype)
    entry = TABLE.get(type(inner)) or site.refuse(f"has {type(inner).__name__} inside")
    part = entry(Site(inner, [step], site.kwargs))
    x, y, dim = "{0}.flatten(0, 1)", ".unflatten(0, {0}.shape[:2])", "-1"
    if part.layout == "first" and len(step.shape) > 2:
        x, y, dim = f"{x}.movedim(-1, 1)", f".movedim(1, -1){y}", "1"
    call = part.call.replace("{dim}", dim).replace("{0}", x)
    return part._replace(call=f"{call}{y}", layout="keras")


# -- attention -----------------------------------------------------------------------------------------


def _multi_head(site: Site) -> Part:
    layer = site.layer
    if layer.use_gate or layer.sliding_window or layer._features or len(site.shape) != 3:
        site.refuse(
            "has a gate, a window, an output shape, or more axes than (batch, time, features)"
        )
    causal = site.kwargs.pop("use_causal_mask", False)
    for name in ("value", "key"):
        if isinstance(site.kwargs.get(name), KerasTensor):
            site.inputs.append(site.kwargs.pop(name))
    widths = [t.shape[-1] for t in (site.inputs * 2)[:2]]
    key = site.inputs[2] if len(site.inputs) > 2 else site.inputs[-1]
    make = made(
        "MultiHeadAttention", site.shape[-1], key.shape[-1], widths[1], layer._heads[0],
        *layer._sizes, dropout=layer.dropout or None, bias=None if layer.use_bias else False,
    )  # fmt: skip
    weights = {}
    for name in ("query", "key", "value"):
        part = getattr(layer, f"{name}_dense")
        weights[f"{name}.weight"] = part.kernel.flatten(1).T
        weights |= {} if part.bias is None else {f"{name}.bias": part.bias.flatten()}
    part = layer.output_dense
    weights["output.weight"] = part.kernel.flatten(0, 1).T
    weights |= {} if part.bias is None else {"output.bias": part.bias}
    given = ", ".join(f"{{{i}}}" for i in range(len(site.inputs)))
    call = f"{{m}}({given}{', causal=True' if causal else ''})"
    return Part(call, make, weights, helper="MultiHeadAttention")


def _attention(site: Site) -> Part:
    layer = site.layer
    if layer.scale is not None or layer.score_mode != "dot" or layer.dropout:
        site.refuse("has a scale, other scores than products, or dropout")
    causal = ", is_causal=True" if site.kwargs.pop("use_causal_mask", False) else ""
    key = "{2}" if len(site.inputs) > 2 else "{1}"
    return Part(f"F.scaled_dot_product_attention({{0}}, {key}, {{1}}, scale=1.0{causal})")


# -- merging and shapes --------------------------------------------------------------------------------


def _fold(join: str, after: str = "{0}") -> Entry:
    def entry(site: Site) -> Part:
        if len({len(t.shape) for t in site.inputs}) > 1:
            site.refuse("takes tensors with different numbers of axes")
        names = [f"{{{i}}}" for i in range(len(site.inputs))]
        if "(" not in join:
            call = join.join(names)
        else:
            call = names[0]
            for name in names[1:]:
                call = f"{join}{call}, {name})"
        return Part(after.replace("{0}", call).replace("{n}", str(len(names))), layout="any")

    return entry


def _concatenate(site: Site) -> Part:
    rank, axis = len(site.shape), site.layer.axis
    names = ", ".join(f"{{{i}}}" for i in range(len(site.inputs)))
    if axis % rank == rank - 1:
        return Part(f"torch.cat([{names}], {{dim}})", layout="any")
    return Part(f"torch.cat([{names}], {axis})")


def _dot(site: Site) -> Part:
    axes = [a % len(t.shape) for a, t in zip(site.layer._pair, site.inputs, strict=True)]
    a, b = ("acdefg"[: len(site.shape)], "ahijkl"[: len(site.inputs[1].shape)])
    a, b = (f"{s[:n]}z{s[n + 1 :]}" for s, n in zip((a, b), axes, strict=True))
    rest = (a + b[1:]).replace("z", "")
    x, y = (f"F.normalize({{{i}}}, dim={n})" for i, n in enumerate(axes))
    given = f"{x}, {y}" if site.layer.normalize else "{0}, {1}"
    more = ".unsqueeze(1)" if rest == "a" else ""
    return Part(f'torch.einsum("{a},{b}->{rest}", {given}){more}')


def _flatten(site: Site) -> Part:
    if len(site.shape) == 1:
        return Part("{0}.unsqueeze(1)")
    moved = site.layer.data_format == "channels_first" and len(site.shape) > 2
    return Part("{0}.movedim(1, -1).flatten(1)" if moved else "{0}.flatten(1)")


def _reshape(site: Site) -> Part:
    sizes = ", ".join(map(literal, site.layer.target_shape))
    return Part(f"{{0}}.reshape({{0}}.shape[0], {sizes})")


def _same(site: Site) -> Part:
    return Part("{0}", layout="any")


Entry = Callable[[Site], Part]
_AXES = ("1D", "2D", "3D")


def _ranks(stem: str, entry: Entry, suffix: str = "", ranks: Any = _AXES) -> dict[type, Entry]:
    return {getattr(layers, f"{stem}{axes}{suffix}"): entry for axes in ranks}


TABLE: dict[type, Entry] = {
    layers.Dense: _dense,
    layers.EinsumDense: _einsum_dense,
    layers.Embedding: _embedding,
    layers.Identity: _same,
    layers.ActivityRegularization: _same,
    layers.Activation: _activation,
    layers.ReLU: _relu,
    layers.LeakyReLU: lambda s: Part(
        f"F.leaky_relu({{0}}, {literal(s.layer.negative_slope)})", layout="any"
    ),
    layers.ELU: lambda s: Part(f"F.elu({{0}}, {literal(s.layer.alpha)})", layout="any"),
    layers.PReLU: _prelu,
    layers.Softmax: _softmax,
    **_ranks("Conv", _conv),
    **_ranks("Conv", _transpose, "Transpose"),
    **_ranks("DepthwiseConv", _depthwise, ranks=_AXES[:2]),
    **_ranks("SeparableConv", _separable, ranks=_AXES[:2]),
    **_ranks("MaxPooling", _pool("MaxPool")),
    **_ranks("AveragePooling", _pool("AvgPool", count_include_pad=False)),
    **_ranks("AdaptiveMaxPooling", _adaptive("AdaptiveMaxPool")),
    **_ranks("AdaptiveAveragePooling", _adaptive("AdaptiveAvgPool")),
    **_ranks("GlobalMaxPooling", _global("amax")),
    **_ranks("GlobalAveragePooling", _global("mean")),
    **_ranks("UpSampling", _upsampling),
    **_ranks("ZeroPadding", _padded("_pads", 1)),
    **_ranks("Cropping", _padded("_cuts", -1)),
    layers.BatchNormalization: _batch_norm,
    layers.LayerNormalization: _layer_norm,
    layers.GroupNormalization: _group_norm,
    layers.RMSNormalization: _rms_norm,
    layers.UnitNormalization: _unit_norm,
    layers.Dropout: _dropout("nn.Dropout"),
    layers.SpatialDropout1D: _dropout("nn.Dropout1d"),
    layers.SpatialDropout2D: _dropout("nn.Dropout2d"),
    layers.SpatialDropout3D: _dropout("nn.Dropout3d"),
    layers.AlphaDropout: _dropout("nn.AlphaDropout"),
    layers.GaussianNoise: _dropout("GaussianNoise", "stddev", "GaussianNoise"),
    layers.GaussianDropout: _dropout("GaussianDropout", helper="GaussianDropout"),
    layers.LSTM: _recurrent,
    layers.GRU: _recurrent,
    layers.SimpleRNN: _recurrent,
    layers.Bidirectional: _bidirectional,
    layers.TimeDistributed: _time_distributed,
    layers.MultiHeadAttention: _multi_head,
    layers.Attention: _attention,
    layers.Add: _fold(" + "),
    layers.Subtract: _fold(" - "),
    layers.Multiply: _fold(" * "),
    layers.Average: _fold(" + ", "({0}) / {n}"),
    layers.Maximum: _fold("torch.maximum("),
    layers.Minimum: _fold("torch.minimum("),
    layers.Concatenate: _concatenate,
    layers.Dot: _dot,
    layers.Flatten: _flatten,
    layers.Reshape: _reshape,
    layers.Permute: lambda s: Part(f"{{0}}.permute({literal((0, *s.layer.dims))})"),
    layers.RepeatVector: lambda s: Part(f"{{0}}.unsqueeze(1).repeat(1, {literal(s.layer.n)}, 1)"),
}

#: Code for what torch has no module for; a file holds what it uses.
HELPERS = {
    "EinsumDense": '''class EinsumDense(nn.Module):
    def __init__(self, equation, kernel, bias=None):
        super().__init__()
        self.equation = equation
        self.kernel = nn.Parameter(torch.zeros(kernel))
        self.bias = None if bias is None else nn.Parameter(torch.zeros(bias))

    def forward(self, x):
        x = torch.einsum(self.equation, x, self.kernel)
        return x if self.bias is None else x + self.bias
''',
    "GaussianNoise": '''class GaussianNoise(nn.Module):
    def __init__(self, stddev):
        super().__init__()
        self.stddev = stddev

    def forward(self, x):
        return x + torch.randn_like(x) * self.stddev if self.training else x
''',
    "GaussianDropout": '''class GaussianDropout(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.stddev = (rate / (1 - rate)) ** 0.5

    def forward(self, x):
        return x * (1 + torch.randn_like(x) * self.stddev) if self.training else x
''',
    "MultiHeadAttention": '''class MultiHeadAttention(nn.Module):
    def __init__(self, query, key, value, heads, key_dim, value_dim, dropout=0.0, bias=True):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(query, heads * key_dim, bias)
        self.key = nn.Linear(key, heads * key_dim, bias)
        self.value = nn.Linear(value, heads * value_dim, bias)
        self.output = nn.Linear(heads * value_dim, query, bias)

    def forward(self, query, value, key=None, causal=False):
        key = value if key is None else key
        q, k, v = self.query(query), self.key(key), self.value(value)
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        rate = self.dropout if self.training else 0.0
        x = F.scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=causal)
        return self.output(x.transpose(1, 2).flatten(-2))
''',
    "masked_mean": '''def masked_mean(x, mask):
    weight = mask.to(x.dtype).unsqueeze(-1)
    return (x * weight).sum(1) / weight.sum(1)
''',
    "with_states": '''def with_states(result, sequences):
    y, states = result
    states = states if isinstance(states, tuple) else (states,)
    return (y if sequences else y[:, -1], *(state[0] for state in states))
''',
}  # fmt: skip
