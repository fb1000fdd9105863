"""Trains fastText (Joulin et al. 2017) on the words of IMDB for five epochs, as in its tutorial, and predicts the label
of every test review. usage: fasttext_imdb.py"""
import json, os, tempfile, time
import fasttext
import imdb

fasttext.FastText.eprint = lambda *_, **__: None
train, test = imdb.texts("train"), imdb.texts("test")
join = lambda text: " ".join(imdb.words(text))
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "train.txt")
    with open(path, "w") as file:
        file.writelines(f"__label__{label} {join(text)}\n" for text, label in zip(*train))
    clock, cpu = time.time(), time.process_time()
    model = fasttext.train_supervised(path, thread=2, verbose=0, lr=0.5, epoch=5)
    trained = time.time() - clock, time.process_time() - cpu
texts = [join(text) for text in test[0]]
clock, cpu = time.time(), time.process_time()
labels = model.predict(texts)[0]
each = 1e6 / len(texts)
print(json.dumps({"what": "text, batch 256", "wall_us": (time.time() - clock) * each,
                  "cpu_us": (time.process_time() - cpu) * each}))
print(json.dumps({"what": "training, five epochs", "wall_us": trained[0] * 1e6, "cpu_us": trained[1] * 1e6}))
accuracy = sum(int(label[0][-1]) == truth for label, truth in zip(labels, test[1])) / len(texts)
print(json.dumps({"what": "test accuracy", "accuracy": accuracy}))
