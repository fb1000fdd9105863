"""The presets `gated` and `lstm` of `convlens train --task lm` in PyTorch, over characters: the same splits, windows,
networks, first weights' distributions and schedule (without word dropout), with PyTorch's best settings for few cores (fused AdamW, passive
waiting, a tuned allocator). Keeps the epoch that is best on the validation split. The last line is JSON; losses are in
nats per character.
usage: language_model.py TEXT [--model gated|lstm] [--epochs N] [--steps N] [--generate N] ...  (--help: all options)"""
import argparse, os, sys


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("text", help="a file, which is one text in UTF-8")
    parser.add_argument("--model", choices=["gated", "lstm"], default="gated")
    parser.add_argument("--hidden", type=int, help="channels of a unit [192], or of the LSTM [512]")
    parser.add_argument("--units", type=int, default=8, help="gated units, dilated 1, 2, 4 and so on")
    parser.add_argument("--cycle", type=int, default=6, help="after so many units the dilation is 1 again")
    parser.add_argument("--embedding", type=int, default=64)
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--layer-norm", action=argparse.BooleanOptionalAction, default=True, help="of gated units")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8, help="windows per step")
    parser.add_argument("--window", type=int, default=256, help="predictions per window")
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--warmup", type=float, default=0.05, help="the share of steps in which the rate rises")
    parser.add_argument("--weight-decay", type=float, help="[0.1; of the LSTM 0.01]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, help="stop after so many, and report the speed alone")
    parser.add_argument("--generate", type=int, default=0, help="then generate so many characters, one at a time")
    parser.add_argument("--compile", action="store_true", help="with torch.compile")
    options = parser.parse_args()
    options.hidden = options.hidden or {"gated": 192, "lstm": 512}[options.model]
    if options.weight_decay is None:
        options.weight_decay = {"gated": 0.1, "lstm": 0.01}[options.model]
    return options


options = arguments()
TUNED = {"OMP_NUM_THREADS": str(options.threads), "OMP_WAIT_POLICY": "passive",
         "MALLOC_MMAP_THRESHOLD_": "2000000000", "MALLOC_TRIM_THRESHOLD_": "4000000000"}
if any(os.environ.get(name) != value for name, value in TUNED.items()):  # they are read when the process starts
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **TUNED})
import collections, copy, json, math, random, statistics, time
import torch, torch.nn as nn, torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

torch.set_num_threads(options.threads)
torch.manual_seed(options.seed)
PAD, START, UNK, SPECIAL = 0, 1, 2, 3
VOCABULARY, TEST, VALIDATION = 1_000, 0.1, 0.05
NO_TARGET = -100  # what cross_entropy ignores
BUCKET = 50  # the number of batches whose windows are sorted by length together
READ_AT_ONCE, WINDOWS_AT_ONCE = 1 << 12, 4  # predictions per window in evaluation, and windows
WARM = 3  # the number of steps, and of generated characters, before the clock counts


def cut(text, share):
    """Splits a text after this share of it, before a character's first byte."""
    at = int(len(text) * share)
    while 0x80 <= text[at] < 0xC0:
        at -= 1
    return text[:at], text[at:]


def read(path):
    """The ids of the training, validation and test split, and the characters by id."""
    with open(path, "rb") as file:
        rest, test = cut(file.read().removeprefix(b"\xef\xbb\xbf"), 1 - TEST)
    validation, train = cut(rest, VALIDATION)
    splits = [part.decode() for part in (train, validation, test)]
    counts = collections.Counter(splits[0])
    characters = sorted(counts, key=lambda character: (-counts[character], character))[:VOCABULARY - SPECIAL]
    ids = {character: SPECIAL + at for at, character in enumerate(characters)}
    encoded = [torch.tensor([START, *(ids.get(character, UNK) for character in split)]) for split in splits]
    return encoded, ["", "", "\N{REPLACEMENT CHARACTER}", *characters]


def windows(ids, length, first, context):
    """Windows of a text, in each of which up to `length` ids are predicted, and how many are. The first predicts
    `first` of them. Windows begin with up to `context` ids more, which are not predicted."""
    found, start, end = [], 1, min(len(ids), 1 + (first if len(ids) > 1 + length else length))
    while start < len(ids):
        found.append((ids[max(start - 1 - context, 0):end], end - start))
        start, end = end, min(len(ids), end + length)
    return found


def batches(found, size):
    """Shuffled windows, of which those of similar lengths share a batch."""
    random.shuffle(found)
    buckets = [found[at:at + size * BUCKET] for at in range(0, len(found), size * BUCKET)]
    order = [window for bucket in buckets for window in sorted(bucket, key=lambda window: len(window[0]))]
    parts = [order[at:at + size] for at in range(0, len(order), size)]
    random.shuffle(parts)
    return parts


def tensors(found):
    """The ids that are read, and the next ones, `[batch, length]`."""
    targets = [F.pad(ids[-count:], (len(ids) - 1 - count, 0), value=NO_TARGET) for ids, count in found]
    return (pad_sequence([ids[:-1] for ids, _ in found], batch_first=True, padding_value=PAD),
            pad_sequence(targets, batch_first=True, padding_value=NO_TARGET))


def conv(input, output, kernel_size=1, dilation=1):
    layer = nn.Conv1d(input, output, kernel_size, dilation=dilation)
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


def norm(hidden, options):
    return nn.LayerNorm(hidden, eps=1e-5) if options.layer_norm else nn.Identity()


def normalised(norm, x):
    return norm(x.transpose(1, 2)).transpose(1, 2)


class Unit(nn.Module):
    """A gated residual unit: normalisation, a dilated convolution, the gate and a projection."""

    def __init__(self, hidden, dilation, options):
        super().__init__()
        self.gates, self.past = conv(hidden, 2 * hidden, 3, dilation), 2 * dilation
        self.norm, self.through = norm(hidden, options), conv(hidden, hidden)
        self.dropout = options.dropout

    def forward(self, x):
        values, gates = self.gates(F.pad(normalised(self.norm, x), (self.past, 0))).chunk(2, 1)
        gated = F.dropout(torch.tanh(values) * torch.sigmoid(gates), self.dropout, self.training)
        return x + self.through(gated)


class Gated(nn.Module):
    def __init__(self, options):
        super().__init__()
        hidden, units = options.hidden, options.units
        self.embed, self.input = embedding(options), conv(options.embedding, hidden)
        self.units = nn.ModuleList(Unit(hidden, 2 ** (at % options.cycle), options) for at in range(units))
        self.norm, self.head = norm(hidden, options), head(hidden)
        self.past = sum(unit.past for unit in self.units)  # how many ids before its own a position sees

    def features(self, ids):
        x = self.input(self.embed(ids).transpose(1, 2))
        for unit in self.units:
            x = unit(x)
        return normalised(self.norm, x)

    def forward(self, ids):
        return self.head(self.features(ids))

    def next(self, ids, state):
        """The logits after these ids. All that they depend on is computed again for every id."""
        return self.head(self.features(torch.tensor([ids[-1 - self.past:]]))[:, :, -1:]).flatten(), None


class Lstm(nn.Module):
    """Features are dropped at every position separately, and embeddings of every character separately."""

    def __init__(self, options):
        super().__init__()
        self.embed, self.head = embedding(options), head(options.hidden)
        self.lstm = nn.LSTM(options.embedding, options.hidden, batch_first=True)
        for side, input in ("ih", options.embedding), ("hh", options.hidden):
            for part in "weight", "bias":
                nn.init.normal_(getattr(self.lstm, f"{part}_{side}_l0"), std=math.sqrt(2 / (input + options.hidden)))
        self.dropout = options.dropout
        self.past = READ_AT_ONCE  # it sees all ids before; so many are read in evaluation

    def forward(self, ids):
        x = F.embedding(ids, F.dropout(self.embed.weight, self.dropout, self.training))
        features = F.dropout(self.lstm(x)[0], self.dropout, self.training)
        return self.head(features.transpose(1, 2))

    def next(self, ids, state):
        """The logits after these ids, and the state; `state` is that after all of them but the last."""
        features, state = self.lstm(self.embed(torch.tensor([ids if state is None else ids[-1:]])), state)
        return self.head(features[:, -1:].transpose(1, 2)).flatten(), state


def embedding(options):
    layer = nn.Embedding(len(characters), options.embedding)
    nn.init.normal_(layer.weight)
    return layer


def head(hidden):
    layer = nn.Conv1d(hidden, len(characters), 1)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def relative_rate(done, steps):
    """The step size rises, then falls to zero."""
    share, warmup = done / steps, options.warmup
    if share < warmup:
        return (done + 1) / max(warmup * steps, done + 1)
    return (1 - share) / (1 - warmup)


class Training:
    def __init__(self, model):
        self.model = model
        self.run = torch.compile(model) if options.compile else model
        parameters = list(model.parameters())
        groups = [{"params": [value for value in parameters if value.dim() > 1], "weight_decay": options.weight_decay},
                  {"params": [value for value in parameters if value.dim() == 1], "weight_decay": 0.0}]
        self.adam = torch.optim.AdamW(groups, options.learning_rate, eps=1e-8, fused=True)
        self.costs = []  # of every step: seconds, seconds of all processors, predictions

    def step(self, found, rate):
        clock, cpu = time.perf_counter(), time.process_time()
        for group in self.adam.param_groups:
            group["lr"] = options.learning_rate * rate
        ids, targets = tensors(found)
        loss = F.cross_entropy(self.run(ids), targets, ignore_index=NO_TARGET)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        loss = loss.item()
        predictions = sum(count for _, count in found)
        self.costs.append((time.perf_counter() - clock, time.process_time() - cpu, predictions))
        return loss * predictions, predictions

    def epoch(self, epoch, ids):
        """Takes the steps of an epoch; returns the mean loss, and false if training ends before the epoch does."""
        first = random.randint(1, options.window)
        parts = batches(windows(ids, options.window, first, 0), options.batch)
        self.model.train()
        losses = []
        for at, found in enumerate(parts):
            if options.steps and len(self.costs) == options.steps:
                break
            losses.append(self.step(found, relative_rate(epoch * len(parts) + at, options.epochs * len(parts))))
        loss, predictions = map(sum, zip(*losses))
        return loss / predictions, not options.steps or len(self.costs) < options.steps

    def speed(self):
        steady = self.costs[WARM:] or self.costs
        return {"steps": len(self.costs),
                "seconds_per_step": statistics.median(wall for wall, _, _ in steady),
                "cpu_seconds_per_step": statistics.median(cpu for _, cpu, _ in steady),
                "tokens_per_second": statistics.median(count / wall for wall, _, count in steady)}


@torch.inference_mode()
def evaluate(model, ids):
    """The mean loss of a split."""
    model.eval()
    found, loss = windows(ids, READ_AT_ONCE, READ_AT_ONCE, min(model.past, READ_AT_ONCE)), 0.0
    for at in range(0, len(found), WINDOWS_AT_ONCE):
        read, targets = tensors(found[at:at + WINDOWS_AT_ONCE])
        loss += F.cross_entropy(model(read), targets, ignore_index=NO_TARGET, reduction="sum").item()
    return loss / sum(count for _, count in found)


@torch.inference_mode()
def generate(model, ids, count):
    """Characters drawn one after the other, and how many per second. They follow a text that is as long as what the
    gated units see."""
    model.eval()
    ids, state = ids[:2 ** (options.units + 1)].tolist(), None
    begin = len(ids)
    for drawn in range(WARM + count):
        if drawn == WARM:
            clock = time.perf_counter()
        logits, state = model.next(ids, state)
        ids.append(torch.multinomial(logits.softmax(0), 1).item())
    seconds = time.perf_counter() - clock
    return "".join(characters[id] for id in ids[begin:]), count / seconds


(train, validation, test), characters = read(options.text)
random.seed(options.seed)
model = {"gated": Gated, "lstm": Lstm}[options.model](options)
training, losses, best = Training(model), [], None
result = {"model": options.model, "parameters": sum(value.numel() for value in model.parameters())}
seconds = 0.0
for epoch in range(options.epochs):
    clock = time.perf_counter()
    loss, goes_on = training.epoch(epoch, train)
    seconds += time.perf_counter() - clock
    if not goes_on:
        break
    losses.append(evaluate(model, validation))
    print(f"epoch {epoch + 1}: training {loss:.4f}, validation {losses[-1]:.4f}, {seconds:.0f} s", file=sys.stderr)
    if losses[-1] == min(losses):
        best = copy.deepcopy(model.state_dict())
result |= {**training.speed(), "train_seconds": seconds}
if not options.steps:
    model.load_state_dict(best)
    result |= {"validation_loss": losses, "test_loss": evaluate(model, test)}
if options.generate:
    text, result["generated_tokens_per_second"] = generate(model, train, options.generate)
    if best:
        print(text, file=sys.stderr)
print(json.dumps({**result, "threads": options.threads, "version": f"PyTorch {torch.__version__}"}))
