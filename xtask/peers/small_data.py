"""Small data sets, and how TF-IDF with logistic regression (scikit-learn) and fastText, both with bigrams, do on them.
Writes TRAIN and TEST files that `convlens train --data TRAIN --test-data TEST` reads.
usage: python small_data.py SHARED OUT   (SHARED has hf-home and datasets/sst, datasets/ud_english_ewt)"""

import json
import pathlib
import re
import sys
import tempfile

import fasttext
import numpy as np
import pyarrow.parquet as pq
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

SEED, HELD_OUT = 0, 0.1


def imdb(shared):
    """All reviews of both splits."""
    snapshots = shared / "hf-home/hub/datasets--stanfordnlp--imdb/snapshots"

    def read(split):
        path = next(snapshots.glob(f"*/plain_text/{split}-*.parquet"))
        if path.stat().st_size < 1_000:  # a link that was copied as text
            path = path.parent / path.read_text().strip()
        table = pq.read_table(path).to_pydict()
        return list(zip(table["text"], (["neg", "pos"][label] for label in table["label"])))

    return read("train"), read("test")


def sst(shared, classes):
    """The sentences of the treebank; with two classes without neutral ones."""

    def read(split):
        rows = []
        for line in (shared / f"datasets/sst/{split}.txt").read_text().splitlines():
            label = int(line[1])
            text = " ".join(re.findall(r"[^\s()]+(?=\))", line)).replace("\\/", "/")
            if classes == 5:
                rows.append((text, str(label)))
            elif label != 2:
                rows.append((text, "pos" if label > 2 else "neg"))
        return rows

    return read("train"), read("test")


def ewt(shared):
    """The sentences of the treebank by genre."""

    def read(split):
        rows, genre = [], None
        for line in (shared / f"datasets/ud_english_ewt/en_ewt-ud-{split}.conllu").read_text().splitlines():
            if line.startswith("# sent_id = "):
                genre = line.removeprefix("# sent_id = ").split("-")[0]
            elif line.startswith("# text = "):
                rows.append((line.removeprefix("# text = "), genre))
        return rows

    return read("train"), read("test")


def accuracy(found, rows):
    return float(np.mean([one == label for one, (_, label) in zip(found, rows)]))


def scikit(train, test, c):
    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=c, max_iter=1_000)
    )
    pipeline.fit(*zip(*train))
    return accuracy(pipeline.predict([text for text, _ in test]), test)


def fast_text(train, test, settings):
    words = lambda text: " ".join(re.findall(r"\w+|[^\w\s]", text.lower()))
    rate, epochs = settings
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"__label__{label} {words(text)}\n" for text, label in train)
        file.flush()
        model = fasttext.train_supervised(
            file.name, lr=rate, epoch=epochs, wordNgrams=2, dim=50, bucket=500_000, thread=2, verbose=0, seed=SEED
        )
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"__label__{label} {words(text)}\n" for text, label in test)
        file.flush()
        return model.test(file.name)[1]


def chosen(run, train, test, candidates):
    """The accuracy on the test split with the setting that is best on a tenth of the training split."""
    order = np.random.RandomState(SEED).permutation(len(train))
    cut = int(len(train) * HELD_OUT)
    held_out, rest = ([train[index] for index in part] for part in (order[:cut], order[cut:]))
    best = max(candidates, key=lambda candidate: run(rest, held_out, candidate))
    return best, run(train, test, best)


def main():
    shared, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    reviews, test_reviews = imdb(shared)
    order = np.random.RandomState(SEED).permutation(len(reviews))
    sets = {f"imdb-{count}": ([reviews[index] for index in order[:count]], test_reviews) for count in (1_000, 5_000)}
    sets |= {"sst-2": sst(shared, 2), "sst-5": sst(shared, 5), "ewt-genre": ewt(shared)}
    for name, (train, test) in sets.items():
        for split, rows in (("train", train), ("test", test)):
            lines = (json.dumps({"text": text, "label": label}) for text, label in rows)
            (out / f"{name}-{split}.jsonl").write_text("".join(f"{line}\n" for line in lines))
        regression = chosen(scikit, train, test, [1, 10, 100])
        subwords = chosen(fast_text, train, test, [(rate, epochs) for rate in (0.1, 0.5) for epochs in (5, 25, 50)])
        print(f"{name}: TF-IDF {regression[1]:.4f} (C {regression[0]}), fastText {subwords[1]:.4f} {subwords[0]}", flush=True)


if __name__ == "__main__":
    main()
