"""The model of Ben Bolte's post on convolutional sentiment models (preset seed) in PyTorch, with its best settings for
few cores: fused Adam, passive waiting, a tuned allocator.
usage: seed_torch.py EPOCHS"""
import os, sys

TUNED = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive", "MALLOC_MMAP_THRESHOLD_": "2000000000",
         "MALLOC_TRIM_THRESHOLD_": "4000000000"}
if any(name not in os.environ for name in TUNED):  # the allocator reads them when the process starts
    os.execve(sys.executable, [sys.executable, *sys.argv], {**TUNED, **os.environ})
import time
import torch, torch.nn as nn, torch.nn.functional as F
import imdb
from report import Report

torch.set_num_threads(2)
torch.manual_seed(0)


class Seed(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(imdb.VOCABULARY, 32)
        self.conv = nn.Conv1d(32, 128, 3, padding="same", bias=False)
        self.head = nn.Conv1d(128, 1, 1)
        nn.init.normal_(self.embed.weight, std=0.05)
        nn.init.normal_(self.conv.weight, std=0.05)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids):
        return self.head(self.conv(self.embed(ids).transpose(1, 2))).mean(2).squeeze(1)


report = Report()
train, validation, test = [(torch.from_numpy(x).long(), torch.from_numpy(y).float()) for x, y in imdb.load()]
model = Seed()
adam = torch.optim.Adam(model.parameters(), 1e-3, eps=1e-7, fused=True)


@torch.inference_mode()
def evaluate(x, y):
    logits = torch.cat([model(x[i:i + 250]) for i in range(0, len(x), 250)])
    return F.binary_cross_entropy_with_logits(logits, y).item(), ((logits > 0) == (y > 0)).float().mean().item()


for _ in range(int(sys.argv[1])):
    clock, cpu = time.time(), time.process_time()
    order, losses = torch.randperm(len(train[1])), []
    for i in range(0, len(order), 32):
        rows = order[i:i + 32]
        loss = F.binary_cross_entropy_with_logits(model(train[0][rows]), train[1][rows])
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    report.epoch(clock, cpu)
    print(sum(losses) / len(losses), evaluate(*validation), file=sys.stderr)
report.print(test_accuracy=evaluate(*test)[1], version=f"PyTorch {torch.__version__}")
