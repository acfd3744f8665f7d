"""What each layer is in torch: one entry a class, a function of a `Site` that gives a `Part`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch import config, layers
from kerastorch._graph import input_tensor
from kerastorch.export import _sequences
from kerastorch.export._part import (
    Entry,
    Part,
    Site,
    activated,
    literal,
    made,
    no_bias,
    present,
)
from kerastorch.ops._windows import pooling_pads, same_padding

# -- core --------------------------------------------------------------------------------------------


def _dense(site: Site) -> Part:
    layer = site.layer
    make = made("nn.Linear", *layer.kernel.shape, bias=no_bias(layer.bias))
    call = activated(site, layer.activation, "{m}({0})")
    return Part(call, make, present(weight=layer.kernel.T, bias=layer.bias))


def _einsum_dense(site: Site) -> Part:
    layer = site.layer
    bias = None if layer.bias is None else tuple(layer.bias.shape)
    make = made("EinsumDense", layer.equation, tuple(layer.kernel.shape), bias)
    call = activated(site, layer.activation, "{m}({0})")
    return Part(call, make, present(kernel=layer.kernel, bias=layer.bias), helpers=("EinsumDense",))


def _embedding(site: Site) -> Part:
    table = site.layer.embeddings
    return Part("{m}({0})", made("nn.Embedding", *table.shape), {"weight": table})


def _activation(site: Site) -> Part:
    call = activated(site, site.layer.activation, "{0}")
    return Part(call, layout="any")


def _relu(site: Site) -> Part:
    layer = site.layer
    slope, top, start = layer.negative_slope, layer.max_value, layer.threshold
    call = f"F.leaky_relu({{0}}, {literal(slope)})" if slope else "F.relu({0})"
    if start and slope:
        below = f"{literal(slope)} * ({{0}} - {literal(start)})"
        call = f"torch.where({{0}} > {literal(start)}, {{0}}, {below})"
    elif start:
        call = f"F.threshold({{0}}, {literal(start)}, 0.0)"
    return Part(call if top is None else f"{call}.clamp(max={literal(top)})", layout="any")


def _prelu(site: Site) -> Part:
    alpha = site.layer.alpha
    if alpha.numel() != alpha.shape[-1]:  # slopes that differ by position
        make = made("PReLU", *alpha.shape)
        return Part("{m}({0})", make, {"weight": alpha}, helpers=("PReLU",))
    moved = alpha.numel() > 1 and alpha.dim() > 1
    make = made("nn.PReLU", alpha.numel())
    return Part("{m}({0})", make, {"weight": alpha.flatten()}, "first" if moved else "keras")


def _softmax(site: Site) -> Part:
    axis = site.layer.axis
    if not isinstance(axis, int):
        total = f"torch.logsumexp({{0}}, {literal(tuple(axis))}, keepdim=True)"
        return Part(f"torch.exp({{0}} - {total})")
    return Part(f"torch.softmax({{0}}, {literal(axis)})")


# -- convolutions and windows --------------------------------------------------------------------------


def _sizes(site: Site) -> Any:
    """Of the axes of space; they must be known where ``"same"`` depends on them."""
    sizes = site.shape[1:-1] if site.layer._channels_last else site.shape[2:]
    if None in sizes:
        site.refuse('pads by "same" with strides, and the input has axes of unknown size')
    return sizes


def _layout(layer: Any) -> str:
    return "first" if layer._channels_last else "keras"


def _flat(pads: Any) -> str:
    """Pairs as F.pad takes them."""
    return literal(tuple(n for pair in reversed(list(pads)) for n in pair))


def _pad(x: str, pads: Any) -> str:
    """Pad or cut the last axes of the expression `x` by pairs."""
    return f"F.pad({x}, {_flat(pads)})" if any(map(any, pads)) else x


def _default(value: tuple[int, ...], usual: int) -> Any:
    """A number or a tuple; None where it is torch's default."""
    short = value[0] if len(set(value)) == 1 else value
    return None if short == usual else short


def _pads(site: Site) -> Any:
    """What a convolution adds before and after each axis of space."""
    layer = site.layer
    if layer._pads is not None:
        return layer._pads
    return same_padding(_sizes(site), layer.kernel_size, layer.strides, layer.dilation_rate)


def _even(pads: Any) -> bool:
    return all(before == after for before, after in pads)


def _window(site: Site, channels: int, filters: int, groups: int, bias: Any) -> tuple[str, str]:
    """Constructor and call of a convolution."""
    layer, pads = site.layer, _pads(site)
    even = _even(pads)
    make = made(
        f"nn.Conv{layer.rank}d", channels, filters, _default(layer.kernel_size, 0),
        stride=_default(layer.strides, 1),
        padding=_default(tuple(before for before, _ in pads), 0) if even else None,
        dilation=_default(layer.dilation_rate, 1), groups=None if groups == 1 else groups,
        bias=no_bias(bias),
    )  # fmt: skip
    return make, "{m}({0})" if even else "{m}(" + _pad("{0}", pads) + ")"


def _conv(site: Site) -> Part:
    layer = site.layer
    make, call = _window(site, layer._channels, layer.filters, layer.groups, layer.bias)
    weights = present(weight=layer.kernel.permute(layer._to_weight), bias=layer.bias)
    return Part(activated(site, layer.activation, call), make, weights, _layout(layer))


def _depthwise(site: Site) -> Part:
    layer = site.layer
    kernel, n = layer.kernel, layer._channels
    make, call = _window(site, n, n * layer.depth_multiplier, n, layer.bias)
    weight = kernel.permute(layer._to_weight).flatten(0, 1).unsqueeze(1)
    weights = present(weight=weight, bias=layer.bias)
    return Part(activated(site, layer.activation, call), make, weights, _layout(layer))


def _separable(site: Site) -> Part:
    layer = site.layer
    n, wide = layer._channels, layer._channels * layer.depth_multiplier
    first, call = _window(site, n, wide, n, None)
    second = made(f"nn.Conv{layer.rank}d", wide, layer.filters, 1, bias=no_bias(layer.bias))
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
        bias=no_bias(layer.bias), dilation=_default(layer.dilation_rate, 1),
    )  # fmt: skip
    call = activated(site, layer.activation, _pad("{m}({0})", layer._after))
    weights = present(weight=layer.kernel.permute(layer._to_weight), bias=layer.bias)
    return Part(call, make, weights, _layout(layer))


def _conv_lstm(site: Site) -> Part:
    layer, cell = site.layer, site.layer.cell
    if layer.stateful or layer.zero_output_for_mask:
        site.refuse("is stateful, or gives zeros for masked steps")
    within = Site(cell, [input_tensor(None, (None, *site.shape[2:]), site.inputs[0].dtype)], {})
    inputs, _ = _window(within, cell._channels, 4 * cell.filters, 1, cell.bias)
    pads, around = _pads(within), cell._around
    state = made(
        f"nn.Conv{layer.rank}d", cell.filters, 4 * cell.filters, _default(cell.kernel_size, 0),
        padding=_default(tuple(n for n, _ in around), 0) if _even(around) else None, bias=False,
    )  # fmt: skip
    options = {
        "pads": None if _even(pads) else _flat(pads),  # which torch's modules do not take
        "around": None if _even(around) else _flat(around),
        "last": None if cell._channels_last else "False",
        "sequences": "True" if layer.return_sequences else None,
        "activation": _sequences.as_value(site, cell.activation, "torch.tanh"),
        "gate": _sequences.as_value(site, cell.recurrent_activation, "torch.sigmoid"),
    }
    given = [f"{name}={text}" for name, text in options.items() if text is not None]
    weights = present(**{
        "x.weight": cell.kernel.permute(cell._to_weight), "x.bias": cell.bias,
        "h.weight": cell.recurrent_kernel.permute(cell._to_weight),
    })  # fmt: skip
    flip = ".flip(1)" if layer.go_backwards else ""
    states = [f"{{{i}}}" for i in range(1, len(site.inputs))]
    mask = _sequences.mask_of(site)
    arguments = [f"{{0}}{flip}"] + ([f"({', '.join(states)})"] if states else [])
    arguments += [f"mask={mask}{flip}"] if mask else []
    call = f"{{m}}({', '.join(arguments)})" + ("" if layer.return_state else "[0]")
    make = f"ConvLSTM({', '.join([inputs, state, *given])})"
    return Part(call, make, weights, helpers=("ConvLSTM",))


def _pool(kind: str, **options: Any) -> Entry:
    def entry(site: Site) -> Part:
        layer = site.layer
        stride = None if layer.strides == layer.pool_size else _default(layer.strides, 0)
        more, cut = {}, [0]
        if layer.padding == "same":
            one = (1,) * layer.rank
            sizes = one if layer.strides == one else _sizes(site)
            padding, cut = pooling_pads(sizes, layer.pool_size, layer.strides)
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
            return Part("masked_mean({0}, {1})", helpers=("masked_mean",))
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


# -- preparation of numbers ----------------------------------------------------------------------------


def _normalization(site: Site) -> Part:
    layer = site.layer
    mean, deviation = layer.mean, layer.variance.sqrt().clamp(min=config.epsilon())
    if layer.invert:
        return _rescaled(deviation, mean)
    make = made("Normalization", *mean.shape)
    weights = {"mean": mean, "deviation": deviation}
    return Part("{m}({0})", make, weights, helpers=("Normalization",))


def _rescaling(site: Site) -> Part:
    scale, offset = site.layer._scale, site.layer._offset
    if scale.dim() and config.image_data_format() == "channels_first":
        site.refuse("has several scales, for channels first")
    if scale.dim() or offset.dim():
        return _rescaled(scale, offset)
    sign = "-" if (shift := _number(offset)) < 0 else "+"
    more = f" {sign} {literal(abs(shift))}" if shift else ""
    return Part(f"{{0}} * {literal(_number(scale))}{more}", layout="any")


def _number(value: Tensor) -> float:
    """In as few digits as float32 needs."""
    return float(str(value.numpy(force=True)) if value.dtype is torch.float32 else value)


def _rescaled(scale: Tensor, offset: Tensor) -> Part:
    make = made("Rescaling", tuple(scale.shape), tuple(offset.shape))
    return Part("{m}({0})", make, {"scale": scale, "offset": offset}, helpers=("Rescaling",))


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


def _over_last(layer: Any) -> str:
    """The call of a module over the last axes, for the axes of the layer."""
    if layer._last:
        return "{m}({0})"
    axes, last = literal(layer._axes), literal(tuple(range(-len(layer._axes), 0)))
    return f"{{m}}({{0}}.movedim({axes}, {last})).movedim({last}, {axes})"


def _layer_norm(site: Site) -> Part:
    layer = site.layer
    weights = _affine(layer)
    affine = None if weights else False
    shape = layer._shape[0] if len(layer._shape) == 1 else layer._shape
    make = made("nn.LayerNorm", shape, eps=layer.epsilon, elementwise_affine=affine)
    return Part(_over_last(layer), make, weights)


def _group_norm(site: Site) -> Part:
    layer = site.layer
    channels = site.shape[layer._at]
    weights = _affine(layer)
    affine = None if weights else False
    make = made("nn.GroupNorm", layer._parts, channels, eps=layer.epsilon, affine=affine)
    return Part("{m}({0})", make, weights, _moved(site, layer._at))


def _unit_norm(site: Site) -> Part:
    axis = site.layer.axis
    axes = axis if isinstance(axis, int) else tuple(axis)
    return Part(f"F.normalize({{0}}, dim={literal(axes)}, eps=1e-12)")


def _rms_norm(site: Site) -> Part:
    layer = site.layer
    shape = layer._shape[0] if len(layer._shape) == 1 else layer._shape
    make = made("nn.RMSNorm", shape, eps=layer.epsilon)
    return Part(_over_last(layer), make, {"weight": layer.scale})


def _spectral(site: Site) -> Part:
    """A layer whose weight in torch has the filters first, as a module in another."""
    inner = site.layer.layer
    kinds = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D)
    if type(inner) not in kinds:
        site.refuse(f"has {type(inner).__name__} inside")
    part = TABLE[type(inner)](Site(inner, site.inputs, site.kwargs))
    more = f", {literal(n)}" if (n := site.layer.power_iterations) > 1 else ""
    weights = {f"layer.{name}": tensor for name, tensor in part.weights.items()}
    return part._replace(
        make=f"SpectralNorm({part.make}{more})",
        weights={"u": site.layer.vector_u, **weights},
        helpers=(*part.helpers, "SpectralNorm"),
    )


# -- dropout -------------------------------------------------------------------------------------------


def _dropout(kind: str, option: str = "rate", *helpers: str) -> Entry:
    def entry(site: Site) -> Part:
        layer = site.layer
        shape = None if hasattr(layer, "rank") else getattr(layer, "noise_shape", None)
        if shape is not None and kind != "nn.Dropout":
            site.refuse("has a `noise_shape`")
        if shape is not None:
            make = made("SharedDropout", layer.rate, tuple(shape))
            return Part("{m}({0})", make, helpers=("SharedDropout",))
        spatial = hasattr(layer, "rank")
        last = not spatial or layer.data_format == "channels_last"
        layout = "any" if not spatial else "first" if last else "keras"
        return Part("{m}({0})", made(kind, getattr(layer, option)), {}, layout, helpers)

    return entry


# -- steps ------------------------------------------------------------------------------------------


def _time_distributed(site: Site) -> Part:
    """The layer on all steps as one batch."""
    inner = site.layer.layer
    if not getattr(getattr(inner, "_takes_in_call", None), "mask", False):
        site.kwargs.pop("mask", None)  # which is only passed on
    step = input_tensor(None, (None, *site.shape[2:]), site.inputs[0].dtype)
    entry = TABLE.get(type(inner)) or site.refuse(f"has {type(inner).__name__} inside")
    within = Site(inner, [step], site.kwargs)
    part = entry(within)
    if len(within.inputs) > 1:
        site.refuse("has a mask, which the layer inside takes")
    x, y, dim = "{0}.flatten(0, 1)", ".unflatten(0, {0}.shape[:2])", "-1"
    over = literal(tuple(range(1, len(step.shape) - 1)))
    if part.layout == "first" and len(step.shape) > 2:
        x, y, dim = f"{x}.movedim(-1, 1)", f".movedim(1, -1){y}", "1"
    call = part.call.replace("{dim}", dim).replace("{over}", over).replace("{0}", x)
    call = call if call[-1] in ")]" else f"({call})"  # an operator's
    return part._replace(call=f"{call}{y}", layout="keras")


# -- merging and shapes --------------------------------------------------------------------------------


def _fold(join: str, after: str = "{0}") -> Entry:
    def entry(site: Site) -> Part:
        ranks = [len(tensor.shape) for tensor in site.inputs]
        # Tensors of fewer axes get new ones after that of the batch.
        names = [f"{{{i}}}" + ".unsqueeze(1)" * (max(ranks) - n) for i, n in enumerate(ranks)]
        if "(" not in join:
            call = join.join(names)
        else:
            call = names[0]
            for name in names[1:]:
                call = f"{join}{call}, {name})"
        layout = "any" if len(set(ranks)) == 1 else "keras"
        return Part(after.replace("{0}", call).replace("{n}", str(len(names))), layout=layout)

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
    **_ranks("ConvLSTM", _conv_lstm),
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
    layers.Normalization: _normalization,
    layers.Rescaling: _rescaling,
    layers.SpectralNormalization: _spectral,
    layers.Dropout: _dropout("nn.Dropout"),
    layers.SpatialDropout1D: _dropout("nn.Dropout1d"),
    layers.SpatialDropout2D: _dropout("nn.Dropout2d"),
    layers.SpatialDropout3D: _dropout("nn.Dropout3d"),
    layers.AlphaDropout: _dropout("nn.AlphaDropout"),
    layers.GaussianNoise: _dropout("GaussianNoise", "stddev", "GaussianNoise"),
    layers.GaussianDropout: _dropout("GaussianDropout", "rate", "GaussianDropout"),
    layers.TimeDistributed: _time_distributed,
    **_sequences.ENTRIES,
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
