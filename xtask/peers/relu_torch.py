"""Measures a training step of embedding, convolution (width 3, 128 filters), ReLU and mean in PyTorch, with its best
settings for few cores (see seed_torch.py). usage: relu_torch.py"""
import os, sys

TUNED = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive", "MALLOC_MMAP_THRESHOLD_": "2000000000",
         "MALLOC_TRIM_THRESHOLD_": "4000000000"}
if any(name not in os.environ for name in TUNED):
    os.execve(sys.executable, [sys.executable, *sys.argv], {**TUNED, **os.environ})
import json, time
import torch, torch.nn as nn, torch.nn.functional as F
import imdb

torch.set_num_threads(2)


class Relu(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(imdb.VOCABULARY, 32)
        self.conv, self.head = nn.Conv1d(32, 128, 3, padding="same"), nn.Conv1d(128, 1, 1)

    def forward(self, ids):
        return self.head(F.relu(self.conv(self.embed(ids).transpose(1, 2)))).mean(2).squeeze(1)


x, y = imdb.load()[2]
x, y = torch.from_numpy(x[:3_200]).long(), torch.from_numpy(y[:3_200]).float()
model = Relu()
adam = torch.optim.Adam(model.parameters(), 1e-3, eps=1e-7, fused=True)


def epoch():
    for i in range(0, len(x), 32):
        loss = F.binary_cross_entropy_with_logits(model(x[i:i + 32]), y[i:i + 32])
        adam.zero_grad()
        loss.backward()
        adam.step()
        assert loss.item() < 1e9


epoch()
rounds, clock, cpu = 0, time.time(), time.process_time()
while time.time() - clock < 4:
    epoch()
    rounds += 1
each = 1e6 / (rounds * 100)
print(json.dumps({"what": "training step with ReLU", "wall_us": (time.time() - clock) * each,
                  "cpu_us": (time.process_time() - cpu) * each}))
