"""The encoders of the presets, and single layers, in PyTorch and onnxruntime with their best settings for few cores:
fused Adam, passive waiting, a tuned allocator, the same batches. Before a preset is measured, its weights are those of
convlens, and so are its logits, to 1e-4.
usage: stacks.py eager|compiled|onnx THREADS FOLDER WORK   FOLDER and WORK are those of `cargo bench --bench stacks`"""
import os, sys

tool, threads, folder, work = sys.argv[1:]
TUNED = {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "passive", "MALLOC_MMAP_THRESHOLD_": "2000000000",
         "MALLOC_TRIM_THRESHOLD_": "4000000000", "TORCHINDUCTOR_FREEZING": "1" if "/infer/" in work else "0"}
if any(os.environ.get(name) != value for name, value in TUNED.items()):  # the allocator reads them when the process starts
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **TUNED})
import json, re, time
import torch, torch.nn as nn, torch.nn.functional as F

torch.set_num_threads(int(threads))
torch.set_num_interop_threads(1)
torch.manual_seed(0)
WIDTH, BATCH, LENGTH, ROUNDS, SECONDS = 128, 32, 400, 5, 0.5
TOOLS = {"eager": "PyTorch", "compiled": "PyTorch, compiled", "onnx": "onnxruntime"}


class Layer(nn.Module):
    """Mask, convolution, normalisation, activation and dropout; padding is read as zeros."""

    def __init__(self, input, output, layer, dilation=1, activation="relu", kernel_size=None):
        super().__init__()
        self.conv = nn.Conv1d(input, output, kernel_size or layer["kernel_size"], dilation=dilation)
        span = dilation * ((kernel_size or layer["kernel_size"]) - 1)
        self.pad = (span, 0) if layer.get("causal") else (span // 2, span - span // 2)
        self.norm = nn.LayerNorm(output) if layer.get("layer_norm") else None
        self.activation, self.dropout = activation, layer.get("dropout", 0.0)

    def forward(self, x, mask):  # [batch, input, length], [batch, 1, length]
        if mask is not None and self.pad != (0, 0):  # filters of width 1 carry nothing from padding to words
            x = x * mask
        same = self.pad[0] == self.pad[1]  # the convolution pads by itself without a copy
        if same:
            x = F.conv1d(x, self.conv.weight, self.conv.bias, dilation=self.conv.dilation, padding=self.pad[0])
        else:
            x = self.conv(F.pad(x, self.pad))
        if self.norm is not None:
            x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        if self.activation == "relu":
            x = F.relu(x)
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class Conv(nn.Module):
    def __init__(self, config, embedding):
        super().__init__()
        layer = lambda width: Layer(embedding, config["filters"], {**config, "kernel_size": width})
        self.widths = nn.ModuleList(map(layer, config["kernel_sizes"]))

    def forward(self, x, mask):
        x = x if mask is None else x * mask
        return torch.cat([layer(x, None) for layer in self.widths], 1)


class Plain(nn.Module):
    def __init__(self, config, embedding):
        super().__init__()
        hidden = config["hidden"]
        layer = lambda at: Layer(embedding if at == 0 else hidden, hidden, config["layer"])
        self.layers = nn.ModuleList(map(layer, range(config["layers"])))

    def forward(self, x, mask):
        for layer in self.layers:
            x = layer(x, mask)
        return x


class Block(nn.Module):
    def __init__(self, config, input, dilation):
        super().__init__()
        hidden, layer = config["hidden"], config["layer"]
        self.first = Layer(input, hidden, layer, dilation)
        self.second = Layer(hidden, hidden, layer, dilation, "none" if config["branch"] == "he" else "relu")
        self.through = Layer(input, hidden, {}, 1, "none", 1) if input != hidden else None

    def forward(self, x, mask):
        second = self.second(self.first(x, mask), mask)
        return F.relu((x if self.through is None else self.through(x, mask)) + second)


class Residual(nn.Module):
    def __init__(self, config, embedding):
        super().__init__()
        block = lambda at: Block(config, config["hidden"] if at else embedding, config["dilation_base"] ** at)
        self.blocks = nn.ModuleList(map(block, range(config["blocks"])))

    def forward(self, x, mask):
        for block in self.blocks:
            x = block(x, mask)
        return x


class Dense(nn.Module):
    def __init__(self, config, embedding):
        super().__init__()
        layer = lambda at: Layer(at * config["growth"] if at else embedding, config["growth"], config["layer"])
        self.layers = nn.ModuleList(map(layer, range(config["layers"])))

    def forward(self, x, mask):
        x = self.layers[0](x, mask)
        for layer in self.layers[1:]:
            x = torch.cat([x, layer(x, mask)], 1)
        return x


class ByteNetBlock(nn.Module):
    def __init__(self, config, dilation):
        super().__init__()
        hidden, layer = config["hidden"], config["layer"]
        half = (hidden + 1) // 2
        self.norm = nn.LayerNorm(hidden)
        self.narrow = Layer(hidden, half, {**layer, "kernel_size": 1})
        self.middle = Layer(half, half, layer, dilation)
        self.wide = Layer(half, hidden, {}, 1, "none", 1)

    def forward(self, x, mask):
        inner = F.relu(self.norm(x.transpose(1, 2))).transpose(1, 2)
        return x + self.wide(self.middle(self.narrow(inner, mask), mask), mask)


class ByteNet(nn.Module):
    def __init__(self, config, embedding):
        super().__init__()
        self.input = Layer(embedding, config["hidden"], {}, 1, "none", 1)
        block = lambda at: ByteNetBlock(config, config["dilation_base"] ** at)
        self.blocks = nn.ModuleList(map(block, range(config["blocks"])))
        self.norm = nn.LayerNorm(config["hidden"])

    def forward(self, x, mask):
        x = self.input(x, mask)
        for block in self.blocks:
            x = block(x, mask)
        return F.relu(self.norm(x.transpose(1, 2))).transpose(1, 2)


class Unit(nn.Module):
    def __init__(self, config, dilation, is_last):
        super().__init__()
        hidden, layer = config["hidden"], config["layer"]
        self.gates = Layer(hidden, 2 * hidden, {**layer, "dropout": 0.0}, dilation, "none")
        narrow = lambda: Layer(hidden, hidden, {}, 1, "none", 1)
        self.through, self.skip = None if is_last else narrow(), narrow()
        self.dropout = layer["dropout"]

    def forward(self, x, mask):
        values, gates = self.gates(x, mask).chunk(2, 1)
        gated = F.dropout(torch.tanh(values) * torch.sigmoid(gates), self.dropout, self.training)
        return x if self.through is None else x + self.through(gated, mask), self.skip(gated, mask)


class Gated(nn.Module):
    def __init__(self, config, embedding):
        super().__init__()
        self.input = Layer(embedding, config["hidden"], {}, 1, "none", 1)
        unit = lambda at: Unit(config, config["dilation_base"] ** at, at + 1 == config["units"])
        self.units = nn.ModuleList(map(unit, range(config["units"])))

    def forward(self, x, mask):
        x, sum = self.input(x, mask), None
        for unit in self.units:
            x, skip = unit(x, mask)
            sum = skip if sum is None else sum + skip
        return F.relu(sum)


class Recurrent(nn.Module):
    """PyTorch's own kernels. The padding is on the right, so that only a network in both directions must skip it."""

    def __init__(self, kind, config, embedding):
        super().__init__()
        network = {"lstm": nn.LSTM, "gru": nn.GRU}[kind]
        self.network = network(embedding, config["hidden"], batch_first=True, bidirectional=config["bidirectional"])

    def forward(self, x, mask):
        x = x.transpose(1, 2)
        if not self.network.bidirectional or mask is None:
            return self.network(x)[0].transpose(1, 2)
        lengths = mask.sum(2).flatten().long()
        if tool == "onnx":
            return self.reversed(x, lengths).transpose(1, 2)
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths.clamp(min=1), batch_first=True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(self.network(packed)[0], batch_first=True)[0].transpose(1, 2)

    def reversed(self, x, lengths):
        """The same by gathering, which onnxruntime can run."""
        places = torch.arange(x.shape[1])[None]
        order = torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)[:, :, None]
        forward = self.ways["first_to_last"](x)[0]
        backward = self.ways["last_to_first"](x.gather(1, order.expand(x.shape)))[0]
        return torch.cat([forward, backward.gather(1, order.expand(backward.shape))], 2)

    def split(self):
        """Two networks in one direction each, for `reversed`."""
        self.ways = nn.ModuleDict()
        for way, suffix in ("first_to_last", ""), ("last_to_first", "_reverse"):
            one = type(self.network)(self.network.input_size, self.network.hidden_size, batch_first=True)
            names = [name for name, _ in one.named_parameters()]
            one.load_state_dict({name: getattr(self.network, name + suffix).detach() for name in names})
            self.ways[way] = one


def encoder(config, embedding):
    kind = config["type"]
    if kind in ("lstm", "gru"):
        return Recurrent(kind, config, embedding)
    return {"conv": Conv, "plain": Plain, "residual": Residual, "dense": Dense, "bytenet": ByteNet,
            "gated": Gated}[kind](config, embedding)


class TextModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed = nn.Embedding(config["vocab_size"], config["embedding"])
        self.encoder = encoder(config["encoder"], config["embedding"])
        self.pooling, self.dropout = config["pooling"], config["dropout"]

    def build_head(self, hidden, outputs):
        self.head = nn.Conv1d(hidden, outputs, 1)
        return self

    def forward(self, ids, mask):  # [batch, length], [batch, 1, length]
        x = self.encoder(self.embed(ids).transpose(1, 2), mask)
        if self.pooling == "max":
            pooled = (x + (mask - 1) * 1e30).amax(2)
        else:
            pooled = (x * mask).sum(2) / mask.sum(2).clamp(min=1)
        return self.head(F.dropout(pooled, self.dropout, self.training).unsqueeze(2)).flatten()


def load(name):
    """A preset's model with convlens' weights, and its settings."""
    from safetensors.torch import load_file
    settings = json.load(open(f"{folder}/{name}.json"))
    weights = load_file(f"{folder}/{name}.safetensors")
    model = TextModel(settings["model"]).build_head(weights["head.weight"].shape[1], weights["head.weight"].shape[0])
    kind = settings["model"]["encoder"]["type"]
    if kind in ("lstm", "gru"):
        gates = {"lstm": ["input", "forget", "cell", "output"], "gru": ["reset", "update", "new"]}[kind]
        for prefix, suffix in (kind, ""), ("reverse", "_reverse"):
            for theirs, ours in ("ih", "input_transform"), ("hh", "hidden_transform"):
                for part in "weight", "bias":
                    names = [f"encoder.{prefix}.{gate}_gate.{ours}.{part}" for gate in gates]
                    if names[0] in weights:
                        values = [weights.pop(name) for name in names]
                        values = [value.T for value in values] if part == "weight" else values
                        weights[f"encoder.network.{part}_{theirs}_l0{suffix}"] = torch.cat(values)
    renamed = {name.replace("gamma", "weight").replace("beta", "bias"): value for name, value in weights.items()}
    model.load_state_dict(renamed)
    return model, settings


def tensors(batch):
    length = max(map(len, batch["ids"]))
    ids = torch.zeros(len(batch["ids"]), length, dtype=torch.long)
    mask = torch.zeros(len(batch["ids"]), 1, length)
    for row, found in enumerate(batch["ids"]):
        ids[row, :len(found)] = torch.tensor(found)
        mask[row, 0, :len(found)] = 1
    return ids, mask, torch.tensor(batch["labels"], dtype=torch.float)


def report(count, round):
    for _ in range(3 if tool == "compiled" else 1):
        round()
    costs = []
    for _ in range(ROUNDS):
        items, clock, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - clock < SECONDS:
            round()
            items += count
        costs.append(((time.perf_counter() - clock) / items, (time.process_time() - cpu) / items))
    wall, cpu = [sorted(cost[at] for cost in costs)[ROUNDS // 2] for at in (0, 1)]
    peak = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) * 1024
    print(json.dumps({"work": work, "tool": TOOLS[tool], "threads": int(threads), "wall_seconds": wall,
                      "cpu_seconds": cpu, "peak_bytes": peak}), flush=True)


def layers(name):
    layer = {"kernel_size": 3}
    stack = {"hidden": WIDTH, "layers": 8, "blocks": 4, "dilation_base": 4, "branch": "tcn", "layer": layer,
             "bidirectional": False}
    return {"conv-layer": lambda: Conv({"filters": WIDTH, "kernel_sizes": [3]}, WIDTH),
            "plain-layers": lambda: Plain(stack, WIDTH), "dilated-layers": lambda: Residual(stack, WIDTH),
            "lstm-layer": lambda: Recurrent("lstm", stack, WIDTH),
            "gru-layer": lambda: Recurrent("gru", stack, WIDTH)}[name]()


def onnx_session(model, example, dynamic):
    import onnxruntime
    path = f"{folder}/{work.replace('/', '-')}.onnx"
    names = ["x", "mask"][:len(example)]
    torch.onnx.export(model, example, path, input_names=names, output_names=["output"], dynamic_shapes=dynamic,
                      dynamo=True, external_data=False, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = int(threads), 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda *values: session.run(None, {name: value.numpy() for name, value in zip(names, values)})


def measure_layer(name, backward):
    x = torch.randn(BATCH, WIDTH, LENGTH)
    if name == "product":
        a, b = torch.randn(BATCH * LENGTH, 3 * WIDTH), torch.randn(3 * WIDTH, WIDTH)
        return report(1, lambda: a @ b)
    model = layers(name)
    if "lstm" in name or "gru" in name:  # their own layout, [batch, length, channels], without a copy
        x, network = x.transpose(1, 2).contiguous(), model.network
        run = lambda x: network(x)[0]
    else:
        run = lambda x: model(x, None)
    if tool == "onnx":
        session = onnx_session(NoMask(model), (torch.randn(BATCH, WIDTH, LENGTH),), None)
        x = torch.randn(BATCH, WIDTH, LENGTH)
        return report(1, lambda: session(x))
    if tool == "compiled":
        run = torch.compile(run)
    if backward:
        def round():
            run(x.detach().requires_grad_()).sum().backward()
            model.zero_grad()
        return report(1, round)
    with torch.inference_mode():
        report(1, lambda: run(x))


class NoMask(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x, None)


def measure_preset(name, what, kind):
    model, settings = load(name)
    batches = json.load(open(f"{folder}/{settings['batches']}"))["batches"]
    model.eval()
    if tool == "onnx" and isinstance(model.encoder, Recurrent) and model.encoder.network.bidirectional:
        model.encoder.split()
    with torch.inference_mode():
        ids, mask, _ = tensors(batches["imdb"][0])
        difference = (model(ids, mask) - torch.tensor(settings["logits"])).abs().max().item()
        assert difference < 1e-4, f"{name}: the logits differ by {difference}"
    batches = [tensors(batch) for batch in batches[kind]]
    if what == "infer":
        texts = sum(len(ids) for ids, _, _ in batches)
        run = model
        if tool == "onnx":
            batch, length = torch.export.Dim("batch", min=2, max=4096), torch.export.Dim("length", min=2, max=65536)
            example = batches[0][:2]
            run = onnx_session(model, example, ({0: batch, 1: length}, {0: batch, 2: length}))
        elif tool == "compiled":
            run = torch.compile(model, dynamic=kind == "imdb")
        with torch.inference_mode():
            return report(texts, lambda: [run(ids, mask) for ids, mask, _ in batches])
    train(model.train(), settings["training"], batches, kind)


def train(model, training, batches, kind):
    """Steps with the updates of convlens: decay of matrices alone; with a sparse embedding, those of the words in the
    batch alone."""
    sparse = None
    if training["sparse_embedding"]:
        model.embed.sparse = True
        sparse = torch.optim.SparseAdam([model.embed.weight], training["learning_rate"], eps=training["adam_epsilon"])
    rest = [(name, value) for name, value in model.named_parameters() if not (sparse and name == "embed.weight")]
    groups = [{"params": [value for _, value in rest if value.dim() > 1], "weight_decay": training["weight_decay"]},
              {"params": [value for _, value in rest if value.dim() == 1], "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, training["learning_rate"], eps=training["adam_epsilon"], fused=True)
    run = torch.compile(model, dynamic=kind == "imdb") if tool == "compiled" else model
    dropped = training["word_dropout"]

    def step(batch):
        ids, mask, labels = batch
        if dropped:
            ids = torch.where(torch.rand(ids.shape) < dropped, 1, ids)
        loss = F.binary_cross_entropy_with_logits(run(ids, mask), labels)
        adam.zero_grad()
        if sparse:
            sparse.zero_grad()
        loss.backward()
        adam.step()
        if sparse:
            sparse.step()
        assert loss.item() < 1e9

    report(len(batches), lambda: [step(batch) for batch in batches])


parts = work.split("/")
if len(parts) == 2:
    measure_layer(parts[0], parts[1] == "backward")
else:
    measure_preset(*parts)
