"""Scores spans with seqeval, which counts as conlleval does: precision, recall and F1 over all spans and per type, and
the accuracy of the words' labels. FILE has `word<TAB>gold<TAB>predicted` per line and a blank line after each sentence.
usage: seqeval_spans.py FILE [--expect JSON]
  --expect JSON   fail unless `precision`, `recall` and `f1` in this file are the same to 1e-6"""
import argparse, json, sys
from seqeval.metrics import accuracy_score, classification_report

TOLERANCE = 1e-6


def read(path):
    """Gold and predicted labels, a list per sentence."""
    gold, predicted = [[]], [[]]
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            columns = line.rstrip("\r\n").split("\t")
            if columns == [""]:
                gold.append([])
                predicted.append([])
            elif len(columns) == 3:
                gold[-1].append(columns[1])
                predicted[-1].append(columns[2])
            else:
                sys.exit(f"{path}: line {number} has {len(columns)} columns; expected word, gold, predicted")
    return [list(filter(None, part)) for part in (gold, predicted)]


def scores(row):
    return {"precision": row["precision"], "recall": row["recall"], "f1": row["f1-score"], "spans": row["support"]}


def main():
    parser = argparse.ArgumentParser(usage=__doc__[__doc__.index("usage: ") + 7:])
    parser.add_argument("file")
    parser.add_argument("--expect")
    arguments = parser.parse_args()
    gold, predicted = read(arguments.file)
    report = classification_report(gold, predicted, output_dict=True, zero_division=0)
    types = {name: scores(row) for name, row in report.items() if not name.endswith(" avg")}
    found = {**scores(report["micro avg"]), "accuracy": accuracy_score(gold, predicted), "types": types}
    print(json.dumps(found, default=lambda number: number.item()))
    if arguments.expect:
        with open(arguments.expect, encoding="utf-8") as file:
            expected = json.load(file)
        for name in "precision", "recall", "f1":
            if abs(expected[name] - found[name]) > TOLERANCE:
                sys.exit(f"{arguments.expect}: {name} is {expected[name]} where seqeval has {found[name]}")


if __name__ == "__main__":
    main()
