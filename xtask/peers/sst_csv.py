"""Converts the Stanford Sentiment Treebank to two CSV files for `convlens train`: every phrase of the training
sentences, and the test sentences, each positive or negative (neutral ones are left out).
usage: sst_csv.py TREEBANK_FOLDER OUT_FOLDER"""
import csv, os, re, sys

treebank, out = sys.argv[1:]


def phrases(line):
    """Label and text of every node of a tree, the innermost first; the last is the sentence."""
    open_, found = [], []
    for token in re.findall(r"\(|\)|[^\s()]+", line):
        if token == "(":
            open_.append([None, []])
        elif token == ")":
            label, words = open_.pop()
            found.append((label, " ".join(words)))
            if open_:
                open_[-1][1].extend(words)
        elif open_[-1][0] is None:
            open_[-1][0] = int(token)
        else:
            open_[-1][1].append(token)
    return found


def write(name, rows):
    with open(os.path.join(out, name), "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *((text, "pos" if label > 2 else "neg")
                                                         for label, text in rows if label != 2)])


lines = {split: open(os.path.join(treebank, f"{split}.txt"), encoding="utf-8") for split in ("train", "test")}
write("sst_train.csv", dict.fromkeys(row for line in lines["train"] for row in phrases(line)))
write("sst_test.csv", [phrases(line)[-1] for line in lines["test"]])
