"""Measures PyTorch's LSTM and convolutions, 128 -> 128, on one thread and on two, with the shapes and stacks of
`cargo xtask bench lstm`. usage: python conv_vs_lstm_torch.py [BATCH LENGTH]"""

import sys
import time

import torch
import torch.nn.functional as F

WIDTH, SECONDS = 128, 1.0


class Lstm(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(WIDTH, WIDTH, batch_first=True)

    def forward(self, x):
        return self.lstm(x.transpose(1, 2))[0]


class Convs(torch.nn.Module):
    """Causal convolutions of width 3. `residual` adds the input to the output of every second one, as in a TCN."""

    def __init__(self, dilations, residual):
        super().__init__()
        self.convs = torch.nn.ModuleList(torch.nn.Conv1d(WIDTH, WIDTH, 3, dilation=d) for d in dilations)
        self.residual = residual

    def forward(self, x):
        for at, conv in enumerate(self.convs):
            before = x if at % 2 == 0 else before
            x = F.relu(conv(F.pad(x, (2 * conv.dilation[0], 0))))
            if self.residual and at % 2 == 1:
                x = F.relu(x + before)
        return x


NETWORKS = {
    "lstm": Lstm(),
    "conv, one layer": Convs([1], False),
    "plain, eight layers": Convs([1] * 8, False),
    "dilated, eight layers (1, 4, 16, 64)": Convs([1, 1, 4, 4, 16, 16, 64, 64], True),
}


def forward(network, x):
    with torch.inference_mode():
        network(x)


def with_backward(network, x):
    x = x.clone().requires_grad_()
    network.zero_grad()
    network(x).sum().backward()


def milliseconds(work, *arguments):
    work(*arguments)
    begin, rounds = time.perf_counter(), 0
    while time.perf_counter() - begin < SECONDS:
        work(*arguments)
        rounds += 1
    return 1e3 * (time.perf_counter() - begin) / rounds


sizes = [int(word) for word in sys.argv[1:3]]
shapes = [tuple(sizes)] if len(sizes) == 2 else [(1, 100), (1, 400), (32, 100), (32, 400), (8, 1600)]
print("| batch | length | threads | encoder | forward ms | LSTM / this | with backward ms | LSTM / this |")
print("|---|---|---|---|---|---|---|---|")
for threads in (1, 2):
    torch.set_num_threads(threads)
    for batch, length in shapes:
        x = torch.randn(batch, WIDTH, length)
        lstm = None
        for name, network in NETWORKS.items():
            times = [milliseconds(work, network, x) for work in (forward, with_backward)]
            lstm = lstm or times
            cells = " | ".join(f"{ours:.2f} | {theirs / ours:.1f}" for ours, theirs in zip(times, lstm))
            print(f"| {batch} | {length} | {threads} | {name} | {cells} |", flush=True)
