# Prints the expected values in encoders.rs: `python encoders.py`, with any version of PyTorch (2.15.0 was used).
# The parameters of a model, in its order, are sin(1)/2, sin(2)/2, …
import torch, torch.nn.functional as F
torch.set_default_dtype(torch.float64)
made, none = [], lambda x: x
def f(*s):
    first = 1 + sum(p.numel() for p in made)
    made.append((torch.arange(first, first + torch.Size(s).numel()).double().sin() / 2).reshape(s).requires_grad_())
    return made[-1]
# A layer is created once and applied to x: [channels, length].
def conv(i, o, k=3, d=1, s=1, causal=False, act=torch.relu, norm=False, wn=False):
    w, b, g = f(o, i, k), f(o), f(o) if wn else None
    n = (f(o), f(o)) if norm else None
    left = d * (k - 1) if causal else d * (k - 1) // 2
    def run(x):
        v = w * (g / w.flatten(1).norm(dim=1))[:, None, None] if wn else w
        y = F.conv1d(F.pad(x, (left, d * (k - 1) - left))[None], v, b, stride=s, dilation=d)[0]
        return act(F.layer_norm(y.T, (o,), *n).T if norm else y)
    return run
def chain(*fs):
    def run(x):
        for g in fs: x = g(x)
        return x
    return run
def beside(*fs): return lambda x: torch.cat([g(x) for g in fs])
def block(i, o, d, last=torch.relu, **kw):
    one, two = conv(i, o, d=d, **kw), conv(o, o, d=d, act=last, **kw)
    through = none if i == o else conv(i, o, k=1, act=none)
    return lambda x: torch.relu(through(x) + two(one(x)))
def gated(i, h, units):
    enter, all = conv(i, h, k=1, act=none), []
    for u in range(units):
        gates = conv(h, 2 * h, d=2 ** u, act=none)
        all.append((gates, conv(h, h, k=1, act=none) if u + 1 < units else None, conv(h, h, k=1, act=none)))
    def run(x):
        x, skips = enter(x), 0
        for gates, through, skip in all:
            a, b = gates(x).chunk(2, 0)
            g = a.tanh() * b.sigmoid()
            skips = skips + skip(g)
            if through: x = x + through(g)
        return torch.relu(skips)
    return run
def gated_residual(i, h, dilations):
    norm = lambda: (lambda n: lambda x: F.layer_norm(x.T, (h,), *n).T)((f(h), f(h)))
    enter = conv(i, h, k=1, act=none)
    all = [(conv(h, 2 * h, d=d, causal=True, act=none), conv(h, h, k=1, act=none), norm()) for d in dilations]
    last = norm()
    def run(x):
        x = enter(x)
        for gates, through, n in all:
            a, b = gates(n(x)).chunk(2, 0)
            x = x + through(a.tanh() * b.sigmoid())
        return last(x)
    return run
def bytenet(i, h, blocks):
    norm = lambda: (lambda n: lambda x: torch.relu(F.layer_norm(x.T, (h,), *n).T))((f(h), f(h)))
    enter = conv(i, h, k=1, act=none)
    make = lambda b: chain(norm(), conv(h, h // 2, k=1, norm=True), conv(h // 2, h // 2, d=2 ** b, norm=True), conv(h // 2, h, k=1, act=none))
    bs = [make(b) for b in range(blocks)]; last = norm()
    return chain(enter, *[(lambda b: lambda x: x + b(x))(b) for b in bs], last)
def dense(i, g, n):
    layers = [conv(i if l == 0 else l * g, g) for l in range(n)]
    return chain(layers[0], *[(lambda l: lambda x: torch.cat([x, l(x)]))(l) for l in layers[1:]])
def rnn(kind, i, h, gates, order):  # PyTorch's networks, with burn-nn's parameters, gate by gate
    own = [[f(i, h), f(h), f(h, h), f(h)] for _ in range(gates)]
    net = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind](i, h)
    names = {"weight_ih_l0": 0, "bias_ih_l0": 1, "weight_hh_l0": 2, "bias_hh_l0": 3}
    def run(x):
        p = {n: torch.cat([own[g][k].T if own[g][k].dim() == 2 else own[g][k] for g in order]) for n, k in names.items()}
        return torch.func.functional_call(net, p, (x.T[:, None],))[0][:, 0].T
    return run
lstm = lambda i, h: rnn("lstm", i, h, 4, [0, 1, 3, 2])  # burn: input, forget, output, cell; torch: i, f, g, o
gru = lambda i, h: rnn("gru", i, h, 3, [1, 0, 2])       # burn: update, reset, new; torch: r, z, n
def both(net, i, h):
    a, b = net(i, h), net(i, h)
    return lambda x: torch.cat([a(x), b(x.flip(1)).flip(1)])
def pooled(by, causal=False):
    def run(x):
        n = -(-x.shape[1] // by) * by
        left = by - 1 if causal else 0
        return F.max_pool1d(F.pad(x, (left, n), value=-1e30)[None, :, :n], by)[0]
    return run
def one_hot(filters, widths):
    b = f(filters * len(widths))
    def run(x):
        out, first = [], 0
        for at, k in enumerate(widths):
            t = F.pad(x[first:first + filters * k], ((k - 1) // 2, k - 1 - (k - 1) // 2)); first += filters * k
            out.append(sum(t[p * filters:(p + 1) * filters, p:p + x.shape[1]] for p in range(k)))
        return torch.relu(torch.cat(out) + b[:, None])
    return run
cases = {
    "conv": (3, lambda: beside(conv(3, 2, k=2, act=torch.tanh), conv(3, 2, k=3, act=torch.tanh)), "max"),
    "conv relu max": (3, lambda: conv(3, 4), "max"),
    "conv causal norms": (3, lambda: beside(*[conv(3, 3, k=k, causal=True, norm=True, wn=True) for k in (2, 3)]), "mean"),
    "plain": (3, lambda: chain(conv(3, 4), conv(4, 4)), "mean"),
    "plain causal gelu": (3, lambda: chain(*[conv(i, 4, causal=True, act=F.gelu) for i in (3, 4)]), "mean"),
    "plain stride": (3, lambda: chain(conv(3, 4, s=2), conv(4, 4, s=2)), "mean"),
    "plain max-pool": (3, lambda: chain(conv(3, 4), pooled(2), conv(4, 4), pooled(2)), "mean"),
    "plain causal max-pool": (3, lambda: chain(*[g for i in (3, 4) for g in (conv(i, 4, causal=True), pooled(2, True))]), "mean"),
    "plain norms": (3, lambda: chain(*[conv(i, 4, norm=True, wn=True) for i in (3, 4)]), "mean"),
    "residual": (3, lambda: chain(block(3, 4, 1, last=none), block(4, 4, 1, last=none)), "mean"),
    "dilated causal": (3, lambda: chain(block(3, 4, 1, causal=True), block(4, 4, 2, causal=True)), "max"),
    "bytenet": (3, lambda: bytenet(3, 4, 2), "mean"),
    "dense": (3, lambda: dense(3, 2, 3), "mean"),
    "gated": (3, lambda: gated(3, 4, 2), "mean"),
    "gated residual": (3, lambda: gated_residual(3, 4, [1, 2, 1]), "mean"),
    "iterated": (3, lambda: (lambda enter, a, b: chain(enter, a, b, a, b))(conv(3, 4), conv(4, 4), conv(4, 4, d=2)), "mean"),
    "lstm": (3, lambda: lstm(3, 3), "mean"),
    "bilstm": (3, lambda: both(lstm, 3, 3), "max"),
    "gru": (3, lambda: gru(3, 3), "mean"),
    "bigru": (3, lambda: both(gru, 3, 3), "mean"),
    "one-hot": (6, lambda: one_hot(2, [3]), "max"),
    "one-hot widths": (6, lambda: one_hot(1, [2, 4]), "max"),
}
for name, (dimensions, make, pool) in cases.items():
    made.clear()
    E, texts = f(7, dimensions), ([1, 5, 2, 6, 6], [3, 6])
    net = make()
    xs = [net(E[ids].T) for ids in texts]
    xs = [x.mean(1) if pool == "mean" else x.amax(1) for x in xs]
    w, b = f(2, xs[0].numel()), f(2)
    z = torch.cat([w @ x + b for x in xs])
    z.sum().backward()
    along = sum((p * p.grad).sum().item() for p in made)
    show = lambda v: ", ".join("%.7f" % x for x in v)
    print(f'("{name}", [{show(z.tolist())}], &[{show(E.grad[6].tolist())}], {along:.7f}),')
