"""Measures a run's model in onnxruntime, with its best settings for few cores: from ids, and from text with Hugging
Face's tokenizers. Prints one line of JSON per measurement.
usage: infer_onnx.py RUN [TEXT]   RUN is a run folder of preset seed; with TEXT only its logit is printed"""
import os, sys

os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ.setdefault("RAYON_NUM_THREADS", "2")
import json, time
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

RUN, LENGTH, SECONDS = sys.argv[1], 400, 2.0
MODEL = os.path.join(RUN, "model.onnx")


def export():
    import torch, torch.nn as nn
    from safetensors.torch import load_file

    class Seed(nn.Module):
        def __init__(self, weights):
            super().__init__()
            self.embed = nn.Embedding.from_pretrained(weights["embed.weight"])
            self.conv, self.head = nn.Conv1d(32, 128, 3, padding="same", bias=False), nn.Conv1d(128, 1, 1)
            self.conv.weight.data, self.head.weight.data = weights["encoder.conv.weight"], weights["head.weight"]
            self.head.bias.data = weights["head.bias"]

        def forward(self, ids):
            return self.head(self.conv(self.embed(ids).transpose(1, 2))).mean(2).squeeze(1)

    model = Seed(load_file(os.path.join(RUN, "model.safetensors"))).eval()
    shapes = {"ids": {0: torch.export.Dim("batch", min=1, max=4096)}}
    torch.onnx.export(model, (torch.zeros(2, LENGTH, dtype=torch.int32),), MODEL, input_names=["ids"],
                      output_names=["logits"], dynamic_shapes=shapes, dynamo=True, external_data=False, verbose=False)


if not os.path.exists(MODEL):
    export()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.inter_op_num_threads = 2, 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
tokenizer = Tokenizer.from_file(os.path.join(RUN, "tokenizer.json"))
tokenizer.enable_truncation(LENGTH, direction="left")
tokenizer.enable_padding(direction="left", pad_id=0, pad_token="[PAD]", length=LENGTH)


def encode(texts):
    return np.array([encoding.ids for encoding in tokenizer.encode_batch_fast(texts)], dtype=np.int32)


def logits(ids):
    return session.run(None, {"ids": ids})[0]


def measure(what, count, run):
    run()
    rounds, clock, cpu = 0, time.time(), time.process_time()
    while time.time() - clock < SECONDS:
        run()
        rounds += 1
    each = 1e6 / (rounds * count)
    print(json.dumps({"what": what, "wall_us": (time.time() - clock) * each,
                      "cpu_us": (time.process_time() - cpu) * each}), flush=True)


if len(sys.argv) > 2:
    print(json.dumps({"logit": float(logits(encode([sys.argv[2]]))[0])}))
    sys.exit()
import imdb

texts, labels = imdb.texts("test")
measure("text to ids", len(texts), lambda: tokenizer.encode_batch_fast(texts))
ids = encode(texts)
found = np.concatenate([logits(ids[i:i + 256]) for i in range(0, len(ids), 256)])
print(f"accuracy {((found > 0) == labels).mean():.4f}", file=sys.stderr)
for batch, count in (1, 2_000), (32, len(ids)), (256, len(ids)):
    measure(f"ids, batch {batch}", count, lambda: [logits(ids[i:i + batch]) for i in range(0, count, batch)])
for batch, count in (1, 2_000), (32, 8_000), (256, 8_000):
    measure(f"text, batch {batch}", count, lambda: [logits(encode(texts[i:i + batch])) for i in range(0, count, batch)])
