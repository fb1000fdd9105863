"""spaCy's tagger without pre-trained vectors, as `spacy init config --pipeline tagger --optimize efficiency` has it,
trained on a treebank's words and their universal parts of speech. Keeps the epoch that is best on DEV. Prints its
accuracy, and the speed of tagging TEST with spaCy's own matrix product (BLIS) and NumPy's (OpenBLAS), for several batch
sizes; the speed is that of the best of 7 rounds.
usage: spacy_tagger.py TRAIN.conllu DEV.conllu TEST.conllu [--epochs N] [--save DIR] [--load DIR]
  --epochs N   at most; it stops earlier, when the accuracy on DEV has not risen for 8 epochs [default: 40]
  --save DIR   keep the model
  --load DIR   measure a model that was saved, and do not train"""
import argparse, json, os, subprocess, sys, tempfile, time

PATIENCE, ROUNDS, BATCHES = 8, 7, (32, 64, 128, 256, 512, 1024)
SETTINGS = ("blis", 1), ("numpy", 1), ("numpy", 2)  # spaCy's BLIS has one thread

# OpenBLAS and the allocator read these when a process starts, so each setting is measured in a process of its own.
TUNED = {"MALLOC_MMAP_THRESHOLD_": "2000000000", "MALLOC_TRIM_THRESHOLD_": "4000000000", "OPENBLAS_THREAD_TIMEOUT": "4"}
GEMM = os.environ.get("TAGGER_GEMM")  # set in the processes that measure
THREADS = os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np
import spacy
from spacy.cli import init_config
from spacy.schemas import ConfigSchemaTraining
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed, load_model_from_config, registry
from thinc.api import NumpyOps, set_current_ops
from report import Report


def sentences(path):
    """Words and universal parts of speech; ranges of words and empty nodes are left out."""
    with open(path, encoding="utf-8") as file:
        blocks = file.read().split("\n\n")
    for block in blocks:
        rows = [line.split("\t") for line in block.split("\n") if not line.startswith("#")]
        rows = [row for row in rows if row[0].isdigit()]
        if rows:
            yield [row[1] for row in rows], [row[3] for row in rows]


def read(path):
    return list(sentences(path))


def docs(nlp, rows):
    return [Doc(nlp.vocab, words=words) for words, _ in rows]


def accuracy(nlp, rows):
    pairs = [(token.tag_, tag) for doc, (_, tags) in zip(nlp.pipe(docs(nlp, rows)), rows)
             for token, tag in zip(doc, tags)]
    return sum(found == gold for found, gold in pairs) / len(pairs)


def train(train, dev, epochs, folder):
    """Updates by batches of 100 to 1,000 words with the settings of the configuration; saves the best epoch."""
    config = init_config(lang="en", pipeline=["tagger"], optimize="efficiency")
    nlp = load_model_from_config(config, auto_fill=True)
    settings = registry.resolve(nlp.config.interpolate()["training"], schema=ConfigSchemaTraining)
    fix_random_seed(settings["seed"])
    gold = [Doc(nlp.vocab, words=words, tags=tags) for words, tags in train]
    examples = list(map(Example, docs(nlp, train), gold))
    nlp.initialize(lambda: examples)
    report, random, best, best_epoch = Report(), np.random.RandomState(settings["seed"]), 0.0, 0
    batches = settings["batcher"]  # one for all epochs, because the batches grow with the steps
    for epoch in range(1, epochs + 1):
        clock, cpu = time.time(), time.process_time()
        losses = {}
        for batch in batches([examples[index] for index in random.permutation(len(examples))]):
            nlp.update(batch, sgd=settings["optimizer"], drop=settings["dropout"], losses=losses)
        report.epoch(clock, cpu)
        found = accuracy(nlp, dev)
        line = {"epoch": epoch, "loss": losses["tagger"], "dev_accuracy": found, **report.epochs[-1]}
        print(json.dumps(line), flush=True)
        if found > best:
            best, best_epoch = found, epoch
            nlp.to_disk(folder)
        elif epoch - best_epoch >= PATIENCE:
            break
    report.print(what="training", words=sum(len(words) for words, _ in train), best_epoch=best_epoch)


def costs(run, prepare):
    """The least wall and CPU seconds of several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        prepared = prepare()
        clock, cpu = time.perf_counter(), time.process_time()
        run(prepared)
        rounds.append((time.perf_counter() - clock, time.process_time() - cpu))
    return [min(round[at] for round in rounds) for at in (0, 1)]


def measure(nlp, rows):
    words = sum(len(words) for words, _ in rows)

    def line(what, wall, cpu, **more):
        print(json.dumps({"what": what, **more, "words_per_second": round(words / wall),
                          "words_per_cpu_second": round(words / cpu)}), flush=True)

    if (GEMM, THREADS) == ("blis", "1"):
        line("words to documents", *costs(lambda _: docs(nlp, rows), lambda: None))
    for batch in BATCHES:
        found = costs(lambda texts: list(nlp.pipe(texts, batch_size=batch)), lambda: docs(nlp, rows))
        line("documents to tags", *found, gemm=GEMM, threads=int(THREADS), batch=batch)


def main():
    parser = argparse.ArgumentParser(usage=__doc__[__doc__.index("usage: ") + 7:])
    for name in "train", "dev", "test":
        parser.add_argument(name)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--save")
    parser.add_argument("--load")
    arguments = parser.parse_args()
    set_current_ops(NumpyOps(use_blis=GEMM == "blis"))
    if GEMM:
        return measure(spacy.load(arguments.load), read(arguments.test))
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.load or arguments.save or temporary
        if not arguments.load:
            train(read(arguments.train), read(arguments.dev), arguments.epochs, folder)
        nlp = spacy.load(folder)
        for split in "dev", "test":
            rows = read(getattr(arguments, split))
            print(json.dumps({"what": f"{split} accuracy", "accuracy": accuracy(nlp, rows),
                              "words": sum(len(words) for words, _ in rows)}), flush=True)
        for gemm, threads in SETTINGS:
            command = [sys.executable, __file__, arguments.train, arguments.dev, arguments.test, "--load", folder]
            environment = {**os.environ, **TUNED, "TAGGER_GEMM": gemm, "OPENBLAS_NUM_THREADS": str(threads)}
            subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()
