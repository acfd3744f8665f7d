"""Code for what torch has no module for; a file that `to_torch` writes holds what it uses."""

from __future__ import annotations

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
    "PReLU": '''class PReLU(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape))

    def forward(self, x):
        return torch.where(x > 0, x, self.weight * x)
''',
    "Normalization": '''class Normalization(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))

    def forward(self, x):
        return (x - self.mean) / self.deviation
''',
    "Rescaling": '''class Rescaling(nn.Module):
    def __init__(self, scale, offset):
        super().__init__()
        self.register_buffer("scale", torch.ones(scale))
        self.register_buffer("offset", torch.zeros(offset))

    def forward(self, x):
        return x * self.scale + self.offset
''',
    "SharedDropout": '''class SharedDropout(nn.Module):
    """Drops all along an axis, or nothing, where the size in `shape` is 1."""

    def __init__(self, rate, shape):
        super().__init__()
        self.rate = rate
        self.shape = shape

    def forward(self, x):
        pairs = zip(x.shape, self.shape, strict=True)
        kept = x.new_ones([size if one is None else one for size, one in pairs])
        return x * F.dropout(kept, self.rate, self.training)
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
    "SimpleRNNCell": '''class SimpleRNNCell(nn.Module):
    def __init__(self, features, units, activation=torch.tanh, bias=True):
        super().__init__()
        self.units = units
        self.activation = activation
        self.x = nn.Linear(features, units, bias)
        self.h = nn.Linear(units, units, bias=False)

    def start(self, x):
        return [x.new_zeros(x.shape[0], self.units)]

    def forward(self, x, states):
        h = self.activation(self.x(x) + self.h(states[0]))
        return h, [h]
''',
    "LSTMCell": '''class LSTMCell(nn.Module):
    def __init__(self, features, units, activation=torch.tanh, gate=torch.sigmoid, bias=True):
        super().__init__()
        self.units = units
        self.activation = activation
        self.gate = gate
        self.x = nn.Linear(features, 4 * units, bias)
        self.h = nn.Linear(units, 4 * units, bias=False)

    def start(self, x):
        return [x.new_zeros(x.shape[0], self.units) for _ in range(2)]

    def forward(self, x, states):
        h, c = states
        i, f, g, o = (self.x(x) + self.h(h)).chunk(4, -1)
        c = self.gate(f) * c + self.gate(i) * self.activation(g)
        h = self.gate(o) * self.activation(c)
        return h, [h, c]
''',
    "GRUCell": '''class GRUCell(nn.Module):
    def __init__(self, features, units, activation=torch.tanh, gate=torch.sigmoid, bias=True):
        super().__init__()
        self.units = units
        self.activation = activation
        self.gate = gate
        self.x = nn.Linear(features, 3 * units, bias)
        self.h = nn.Linear(units, 3 * units, bias)

    def start(self, x):
        return [x.new_zeros(x.shape[0], self.units)]

    def forward(self, x, states):
        h = states[0]
        x_z, x_r, x_n = self.x(x).chunk(3, -1)
        h_z, h_r, h_n = self.h(h).chunk(3, -1)
        z, r = self.gate(x_z + h_z), self.gate(x_r + h_r)
        h = z * h + (1 - z) * self.activation(x_n + r * h_n)
        return h, [h]
''',
    "GRUCellResetBefore": '''class GRUCellResetBefore(nn.Module):
    def __init__(self, features, units, activation=torch.tanh, gate=torch.sigmoid, bias=True):
        super().__init__()
        self.units = units
        self.activation = activation
        self.gate = gate
        self.x = nn.Linear(features, 3 * units, bias)
        self.h = nn.Linear(units, 3 * units, bias=False)

    def start(self, x):
        return [x.new_zeros(x.shape[0], self.units)]

    def forward(self, x, states):
        h = states[0]
        gates, candidate = self.h.weight.split([2 * self.units, self.units])
        x_z, x_r, x_n = self.x(x).chunk(3, -1)
        h_z, h_r = F.linear(h, gates).chunk(2, -1)
        z, r = self.gate(x_z + h_z), self.gate(x_r + h_r)
        h = z * h + (1 - z) * self.activation(x_n + F.linear(r * h, candidate))
        return h, [h]
''',
    "StackedCells": '''class StackedCells(nn.Sequential):
    def start(self, x):
        return [cell.start(x) for cell in self]

    def forward(self, x, states):
        after = []
        for cell, before in zip(self, states, strict=True):
            x, new = cell(x, before)
            after.append(new)
        return x, after
''',
    "RNN": '''class RNN(nn.Module):
    """A cell over all steps; gives outputs and states as nn.LSTM does."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x, states=None):
        states = self.cell.start(x) if states is None else [state[0] for state in states]
        outputs = []
        for step in x.unbind(1):
            y, states = self.cell(step, states)
            outputs.append(y)
        return torch.stack(outputs, 1), tuple(state.unsqueeze(0) for state in states)
''',
    "MaskedRNN": '''class MaskedRNN(nn.Module):
    """A cell over all steps; a step where the mask is False changes nothing."""

    def __init__(self, cell, zeros=False):
        super().__init__()
        self.cell = cell
        self.zeros = zeros

    def forward(self, x, mask, states=None):
        states = self.cell.start(x) if states is None else [state[0] for state in states]
        y, outputs = 0.0, []
        for step, keep in zip(x.unbind(1), mask.unsqueeze(-1).unbind(1), strict=True):
            new, after = self.cell(step, states)
            y = torch.where(keep, new, y)
            states = [torch.where(keep, a, b) for a, b in zip(after, states, strict=True)]
            outputs.append(torch.where(keep, y, 0.0) if self.zeros else y)
        return torch.stack(outputs, 1), tuple(state.unsqueeze(0) for state in states)
''',
    "ConvLSTM": '''class ConvLSTM(nn.Module):
    """Over (B, T, ...): the last output or all of them, and both states."""

    def __init__(
        self,
        x,
        h,
        pads=None,
        around=None,
        last=True,
        sequences=False,
        activation=torch.tanh,
        gate=torch.sigmoid,
    ):
        super().__init__()
        self.x = x
        self.h = h
        self.pads = pads
        self.around = around
        self.last = last
        self.sequences = sequences
        self.activation = activation
        self.gate = gate

    def convolve(self, layer, x, pads):
        x = x.movedim(-1, 1) if self.last else x
        y = layer(x if pads is None else F.pad(x, pads))
        return y.movedim(1, -1) if self.last else y

    def forward(self, x, states=None, mask=None):
        steps = self.convolve(self.x, x.flatten(0, 1), self.pads).unflatten(0, x.shape[:2])
        axis = -1 if self.last else 1
        y = torch.zeros_like(steps[:, 0].chunk(4, axis)[0])
        h, c = (y, y) if states is None else states
        outputs = []
        for t, step in enumerate(steps.unbind(1)):
            i, f, g, o = (step + self.convolve(self.h, h, self.around)).chunk(4, axis)
            new_c = self.gate(f) * c + self.gate(i) * self.activation(g)
            new_h = self.gate(o) * self.activation(new_c)
            if mask is None:
                y, h, c = new_h, new_h, new_c
            else:
                keep = mask[:, t].view(-1, *[1] * (h.dim() - 1))
                y, h = torch.where(keep, new_h, y), torch.where(keep, new_h, h)
                c = torch.where(keep, new_c, c)
            outputs.append(y)
        return torch.stack(outputs, 1) if self.sequences else y, h, c
''',
    "StackedRNN": '''class StackedRNN(nn.Sequential):
    def forward(self, x, *masks):
        for rnn in self:
            x = rnn(x, *masks)[0]
        return x
''',
    "Bidirectional": '''class Bidirectional(nn.Module):
    """A pair of outputs, there and back, and the last states of both."""

    def __init__(self, there, back, sequences=False):
        super().__init__()
        self.there = there
        self.back = back
        self.sequences = sequences

    def forward(self, x, *masks):
        y, a = self.there(x, *masks)
        z, b = self.back(x.flip(1), *(mask.flip(1) for mask in masks))
        pair = (y, z.flip(1)) if self.sequences else (y[:, -1], z[:, -1])
        states = [*(a if isinstance(a, tuple) else [a]), *(b if isinstance(b, tuple) else [b])]
        return pair, [state[0] for state in states]
''',
    "merged": '''def merged(result, merge=tuple):
    pair, states = result
    pair = merge(pair)
    return (*(pair if isinstance(pair, tuple) else [pair]), *states)
''',
    "GroupQueryAttention": '''class GroupQueryAttention(nn.Module):
    """Attention with a mask, a gate, a window, or fewer heads for keys and values."""

    def __init__(
        self,
        query,
        key,
        value,
        heads,
        key_dim,
        value_dim,
        output=None,
        groups=None,
        window=None,
        gate=False,
        dropout=0.0,
        bias=True,
    ):
        super().__init__()
        groups = heads if groups is None else groups
        self.heads = (heads, groups, groups)
        self.window = window
        self.dropout = dropout
        self.query = nn.Linear(query, heads * key_dim, bias)
        self.key = nn.Linear(key, groups * key_dim, bias)
        self.value = nn.Linear(value, groups * value_dim, bias)
        self.gate = nn.Linear(query, heads * value_dim, bias) if gate else None
        self.output = nn.Linear(heads * value_dim, query if output is None else output, bias)

    def forward(self, query, value, key=None, mask=None, causal=False):
        parts = self.query(query), self.key(value if key is None else key), self.value(value)
        parts = zip(parts, self.heads, strict=True)
        q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x, heads in parts)
        seen = q.new_ones(q.shape[2], k.shape[2], dtype=torch.bool)
        seen = seen.tril() if causal else seen
        if self.window is not None:
            seen = seen.tril(self.window - 1).triu(1 - self.window)
        seen = seen if mask is None else seen & mask.unsqueeze(1)
        rate = self.dropout if self.training else 0.0
        x = F.scaled_dot_product_attention(q, k, v, seen, rate, enable_gqa=True)
        x = x.transpose(1, 2).flatten(-2)
        return self.output(x if self.gate is None else x * torch.sigmoid(self.gate(query)))
''',
    "Attention": '''class Attention(nn.Module):
    def __init__(self, scale=None, dropout=0.0):
        super().__init__()
        self.scale = 1.0 if scale is None else nn.Parameter(torch.ones(scale))
        self.dropout = dropout

    def forward(self, query, value, key=None, mask=None, query_mask=None, causal=False):
        key = value if key is None else key
        seen = query.new_ones(query.shape[1], key.shape[1], dtype=torch.bool)
        seen = seen.tril() if causal else seen
        seen = seen if mask is None else seen & mask.unsqueeze(1)
        rate = self.dropout if self.training else 0.0
        q = query * self.scale
        x = F.scaled_dot_product_attention(q, key, value, seen, rate, scale=1.0)
        return x if query_mask is None else x * query_mask.unsqueeze(-1)
''',
    "AdditiveAttention": '''class AdditiveAttention(nn.Module):
    def __init__(self, weight=None, scale=None, dropout=0.0):
        super().__init__()
        self.weight = 1.0 if weight is None else nn.Parameter(torch.ones(weight))
        self.scale = 1.0 if scale is None else nn.Parameter(torch.ones(scale))
        self.dropout = dropout

    def forward(self, query, value, key=None, mask=None, query_mask=None, causal=False):
        key = value if key is None else key
        pairs = self.scale * (query.unsqueeze(2) + key.unsqueeze(1))
        scores = (torch.tanh(pairs) * self.weight).sum(-1)
        seen = torch.ones_like(scores, dtype=torch.bool)
        seen = seen.tril() if causal else seen
        seen = seen if mask is None else seen & mask.unsqueeze(1)
        scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
        weights = F.dropout(scores.softmax(-1) * seen, self.dropout, self.training)
        x = weights @ value
        return x if query_mask is None else x * query_mask.unsqueeze(-1)
''',
    "SpectralNorm": '''class SpectralNorm(nn.Module):
    """Divides a layer's weight by its largest singular value in each training step."""

    def __init__(self, layer, iterations=1):
        super().__init__()
        self.layer = layer
        self.iterations = iterations
        self.register_buffer("u", torch.zeros(1, layer.weight.shape[0]))

    def forward(self, x):
        if self.training:
            self.normalize()
        return self.layer(x)

    @torch.no_grad()
    def normalize(self):
        u, weight = self.u, self.layer.weight.flatten(1)
        for _ in range(self.iterations):
            v = F.normalize(u @ weight)
            u = F.normalize(v @ weight.T)
        largest = v @ weight.T @ u.T
        nothing = largest == 0
        self.layer.weight.div_(largest.where(~nothing, 1).view(()))
        self.u.copy_(u.where(~nothing, self.u))
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
