"""Recurrent layers and attention in torch: its kernels where they fit, else a loop that can be read."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch import layers
from kerastorch._graph import KerasTensor
from kerastorch.export._part import Entry, Part, Site, activated, literal, made, no_bias

# -- recurrences ---------------------------------------------------------------------------------------

_KINDS = {"lstm": "nn.LSTM", "gru": "nn.GRU", "tanh": "nn.RNN", "relu": "nn.RNN"}
_CELLS = (layers.SimpleRNNCell, layers.LSTMCell, layers.GRUCell)
_Made = tuple[str, dict[str, Tensor], tuple[str, ...]]  # constructor, weights, helpers


def _kernel(kind: str, cells: list[Any]) -> _Made:
    """One of torch's modules for sequences; two cells are its two directions."""
    make = made(
        _KINDS[kind], cells[0].kernel.shape[0], cells[0].units, batch_first=True,
        bias=no_bias(cells[0].bias), bidirectional=True if len(cells) == 2 else None,
        nonlinearity="relu" if kind == "relu" else None,
    )  # fmt: skip
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    ends = zip(("", "_reverse"), cells, strict=False)
    weights = {
        name + end: weight
        for end, cell in ends
        for name, weight in zip(names, cell.torch_weights(), strict=False)
    }
    return make, weights, ()


def as_value(site: Site, function: Any, usual: str) -> str | None:
    """An activation as a value in the source; None where it is `usual`."""
    text = activated(site, function, "x").replace("{dim}", "-1")
    name = text.removesuffix("(x)")
    if text == "x":
        return "nn.Identity()"
    value = name if name.replace(".", "").isidentifier() else f"lambda x: {text}"
    return None if value == usual else value


def _cell(site: Site, cell: Any) -> _Made:
    """A module for one step, in Keras's order of gates."""
    if type(cell) is layers.StackedRNNCells:
        parts = [_cell(site, inner) for inner in cell.cells]
        return _several("StackedCells", parts, ("StackedCells",))
    if type(cell) not in _CELLS:
        site.refuse(f"has a {type(cell).__name__} inside")
    kind = type(cell).__name__
    if kind == "GRUCell" and not cell.reset_after:
        kind = "GRUCellResetBefore"
    functions = {"activation": as_value(site, cell.activation, "torch.tanh")}
    if cell.gates > 1:
        functions["gate"] = as_value(site, cell.recurrent_activation, "torch.sigmoid")
    options = [literal(cell.kernel.shape[0]), literal(cell.units)]
    options += [f"{name}={value}" for name, value in functions.items() if value is not None]
    options += ["bias=False"] if cell.bias is None else []
    weights = {"x.weight": cell.kernel.T, "h.weight": cell.recurrent_kernel.T}
    if cell.bias is not None:
        biases = cell.bias if cell.bias.dim() == 2 else [cell.bias]
        weights |= dict(zip(("x.bias", "h.bias"), biases, strict=False))
    return f"{kind}({', '.join(options)})", weights, (kind,)


def _several(kind: str, parts: list[_Made], helpers: tuple[str, ...] = ()) -> _Made:
    """A module of several."""
    weights = {f"{i}.{k}": t for i, (_, inner, _) in enumerate(parts) for k, t in inner.items()}
    used = [name for _, _, names in parts for name in names]
    return f"{kind}({', '.join(make for make, _, _ in parts)})", weights, (*used, *helpers)


def _over_steps(site: Site, rnn: Any, masked: bool) -> _Made:
    """A module for all steps, which gives outputs and states as ``nn.LSTM`` does."""
    cell = rnn.cell
    if rnn.stateful:
        site.refuse("is stateful")
    if type(cell) is layers.StackedRNNCells:
        *before, last = cell.cells
        parts = [_one(site, inner, masked) for inner in before]
        parts.append(_one(site, last, masked, rnn.zero_output_for_mask))
        return _several("StackedRNN", parts, ("StackedRNN",))
    return _one(site, cell, masked, rnn.zero_output_for_mask)


def _one(site: Site, cell: Any, masked: bool, zeros: bool = False) -> _Made:
    kind = cell.kind() if type(cell) in _CELLS and not masked else None
    if kind is not None:
        return _kernel(kind, [cell])
    if masked and type(cell) is layers.StackedRNNCells:
        site.refuse("has a stack of cells within a stack, and a mask")
    make, weights, helpers = _cell(site, cell)
    loop = "MaskedRNN" if masked else "RNN"
    make = f"{loop}({make}{', zeros=True' if masked and zeros else ''})"
    return make, {f"cell.{k}": t for k, t in weights.items()}, (*helpers, loop)


def mask_of(site: Site) -> str | None:
    """The place of the mask of steps, which becomes the last input."""
    mask = site.kwargs.pop("mask", None)
    if mask is None:
        return None
    if not isinstance(mask, KerasTensor) or len(mask.shape) != 2:
        site.refuse("has a mask of another form than (batch, time)")
    return _boolean(site, mask)


def _boolean(site: Site, mask: KerasTensor) -> str:
    """The place of a mask, which becomes the last input."""
    site.inputs.append(mask)
    return f"{{{len(site.inputs) - 1}}}" + (".bool()" if mask.dtype is not torch.bool else "")


def _recurrent(site: Site) -> Part:
    layer, given = site.layer, len(site.inputs) > 1
    if type(layer.cell) is layers.StackedRNNCells and (given or layer.return_state):
        site.refuse("takes or gives the states of a stack of cells")
    states = [f"{{{i}}}.unsqueeze(0)" for i in range(1, len(site.inputs))]
    mask = mask_of(site)
    make, weights, helpers = _over_steps(site, layer, mask is not None)
    flip = ".flip(1)" if layer.go_backwards else ""
    arguments = [f"{{0}}{flip}"] + ([f"{mask}{flip}"] if mask else [])
    if given:
        one = len(states) == 1 and not helpers
        arguments.append(states[0] if one else f"({', '.join(states)}{',' * (len(states) < 2)})")
    x = f"{{m}}({', '.join(arguments)})"
    if layer.return_state:
        call = f"with_states({x}, {literal(layer.return_sequences)})"
        return Part(call, make, weights, helpers=(*helpers, "with_states"))
    sequences = layer.return_sequences
    if make.startswith("StackedRNN("):
        return Part(x if sequences else f"{x}[:, -1]", make, weights, helpers=helpers)
    return Part(f"{x}[0]" if sequences else f"{x}[0][:, -1]", make, weights, helpers=helpers)


_MERGES = {"concat": "torch.cat({0}, -1)", "sum": "torch.stack({0}).sum(0)",
           "mul": "torch.stack({0}).prod(0)", "ave": "torch.stack({0}).mean(0)", None: "{0}"}  # fmt: skip


def _bidirectional(site: Site) -> Part:
    layer = site.layer
    for inner in (layer.forward_layer, layer.backward_layer):
        if ENTRIES.get(type(inner)) is not _recurrent:
            site.refuse(f"has {type(inner).__name__} inside")
    kind = layer._one_kernel(site.kwargs.get("mask"), False)
    if len(site.inputs) > 1:
        site.refuse("takes states")
    if kind is None or layer.merge_mode is None or layer.return_state:
        return _apart(site)
    make, weights, _ = _kernel(kind, [layer.forward_layer.cell, layer.backward_layer.cell])
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


def _apart(site: Site) -> Part:
    """Two layers, each with a module of its own."""
    layer = site.layer
    pair = [layer.forward_layer, layer.backward_layer]
    if pair[0].go_backwards:
        site.refuse("has a first layer that goes backwards")
    if any(type(inner.cell) is layers.StackedRNNCells for inner in pair):
        site.refuse("has stacks of cells inside")
    mask = mask_of(site)
    parts = [_over_steps(site, part, bool(mask)) for part in pair]
    make, inner, helpers = _several("Bidirectional", parts, ("Bidirectional",))
    if layer.return_sequences:
        make = f"{make.removesuffix(')')}, sequences=True)"
    names = {"0": "there", "1": "back"}
    weights = {f"{names[k[0]]}{k[1:]}": tensor for k, tensor in inner.items()}
    call, mode = f"{{m}}({{0}}{f', {mask}' if mask else ''})", layer.merge_mode
    if layer.return_state:
        merge = "" if mode is None else f", lambda pair: {_MERGES[mode].replace('{0}', 'pair')}"
        return Part(f"merged({call}{merge})", make, weights, helpers=(*helpers, "merged"))
    merged = _MERGES[mode].replace("{0}", f"{call}[0]")
    return Part(merged, make, weights, helpers=helpers)


def _one_step(site: Site) -> Part:
    """A cell that is called by itself, on inputs and a list of states."""
    places = iter(f"{{{i}}}" for i in range(1, len(site.inputs)))

    def packed(value: Any) -> str:
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(map(packed, value))}]"
        return next(places)

    if len(site.args) != 2 or not isinstance(site.args[1], (list, tuple)):
        site.refuse("is called on something else than inputs and a list of states")
    make, weights, helpers = _cell(site, site.layer)
    return Part(f"{{m}}({{0}}, {packed(site.args[1])})", make, weights, helpers=helpers)


def _masking(site: Site) -> Part:
    value = site.layer.mask_value
    if not isinstance(value, (int, float)):
        site.refuse("has a `mask_value` that is no number")
    kept = f"({{0}} != {literal(value)}).any(-1, keepdim=True)"
    return Part(f"torch.where({kept}, {{0}}, 0)")


# -- attention -----------------------------------------------------------------------------------------


def _pop(site: Site, *names: str) -> dict[str, KerasTensor]:
    """The tensors that are given by these names."""
    given = {name: site.kwargs.get(name) for name in names}
    found = {name: value for name, value in given.items() if isinstance(value, KerasTensor)}
    for name in found:
        del site.kwargs[name]
    return found


def _multi_head(site: Site) -> Part:
    layer, causal = site.layer, site.kwargs.pop("use_causal_mask", False)
    site.inputs.extend(_pop(site, "query", "value", "key").values())
    count, shape, rank = len(site.inputs), site.shape, len(site.shape)
    over = tuple(range(layer._over[0], rank - 1))
    tensors = _pop(site, "query_mask", "value_mask", "key_mask", "attention_mask")
    masks = {name: _boolean(site, mask) for name, mask in tensors.items()}
    if layer._over != over or (masks and rank != 3):
        site.refuse("is over axes that are not the last, or has a mask and more than three axes")
    value, key = site.inputs[min(1, count - 1)], site.inputs[min(2, count - 1)]
    (queries, keys), features = layer._heads, layer._features
    special = masks or layer.use_gate or layer.sliding_window or features or queries != keys
    kind = "GroupQueryAttention" if special else "MultiHeadAttention"
    wide = None if features is None else int(layer.output_dense.kernel.flatten(2).shape[-1])
    make = made(
        kind, shape[-1], key.shape[-1], value.shape[-1], queries, *layer._sizes,
        output=wide, groups=None if queries == keys else keys,
        window=layer.sliding_window, gate=True if layer.use_gate else None,
        dropout=layer.dropout or None, bias=None if layer.use_bias else False,
    )  # fmt: skip
    weights = {}
    for name in ("query", "key", "value", *(["gate"] if layer.use_gate else [])):
        part = getattr(layer, f"{name}_dense")
        weights[f"{name}.weight"] = part.kernel.flatten(1).T
        weights |= {} if part.bias is None else {f"{name}.bias": part.bias.flatten()}
    part = layer.output_dense
    weights["output.weight"] = part.kernel.flatten(0, 1).flatten(1).T
    weights |= {} if part.bias is None else {"output.bias": part.bias.flatten()}
    first = over[0]
    flat = (f".flatten(0, {first - 1})" if first > 1 else "") + (
        f".flatten(1, {len(over)})" if len(over) > 1 else ""
    )
    given = [f"{{{i}}}{flat}" for i in range(count)]
    seen = {"query_mask": "[:, :, None]", "value_mask": "[:, None]", "key_mask": "[:, None]"}
    terms = [masks[name] + seen.get(name, "") for name in masks]
    given += [f"mask={' & '.join(terms)}"] if terms else []
    call = f"{{m}}({', '.join(given)}{', causal=True' if causal else ''})"
    call += f".unflatten(1, {{0}}.shape[{first}:-1])" if len(over) > 1 else ""
    call += f".unflatten(0, {{0}}.shape[:{first}])" if first > 1 else ""
    call += f".unflatten(-1, {literal(tuple(features))})" if features and len(features) > 1 else ""
    return Part(call, make, weights, helpers=(kind,))


def _pair_of_masks(site: Site) -> list[str | None]:
    """The places of the masks of query and value."""
    masks = [*(site.kwargs.pop("mask", None) or ()), None, None][:2]
    return [None if mask is None else _boolean(site, mask) for mask in masks]


def _attention(site: Site) -> Part:
    layer = site.layer
    count, (query_mask, value_mask) = len(site.inputs), _pair_of_masks(site)
    causal = site.kwargs.pop("use_causal_mask", False)
    additive = layer.score_mode == "concat"
    if not (additive or query_mask or value_mask or layer.scale is not None or layer.dropout):
        key = "{2}" if count > 2 else "{1}"
        more = ", is_causal=True" if causal else ""
        return Part(f"F.scaled_dot_product_attention({{0}}, {key}, {{1}}, scale=1.0{more})")
    names = {"weight": layer.concat_score_weight, "scale": layer.scale}
    if type(layer) is layers.AdditiveAttention:  # scales each feature, after the tanh
        names = {"weight": layer.scale, "scale": None}
    weights = {name: tensor for name, tensor in names.items() if tensor is not None}
    kind = "AdditiveAttention" if additive else "Attention"
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    make = made(kind, **shapes, dropout=layer.dropout or None)
    given = [f"{{{i}}}" for i in range(count)]
    given += [f"mask={value_mask}"] if value_mask else []
    given += [f"query_mask={query_mask}"] if query_mask else []
    given += ["causal=True"] if causal else []
    return Part(f"{{m}}({', '.join(given)})", make, weights, helpers=(kind,))


ENTRIES: dict[type, Entry] = {
    layers.LSTM: _recurrent,
    layers.GRU: _recurrent,
    layers.SimpleRNN: _recurrent,
    layers.RNN: _recurrent,
    layers.Bidirectional: _bidirectional,
    layers.SimpleRNNCell: _one_step,
    layers.LSTMCell: _one_step,
    layers.GRUCell: _one_step,
    layers.StackedRNNCells: _one_step,
    layers.Masking: _masking,
    layers.MultiHeadAttention: _multi_head,
    layers.GroupQueryAttention: _multi_head,
    layers.Attention: _attention,
    layers.AdditiveAttention: _attention,
}
