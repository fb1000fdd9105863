"""NB-SVM (Wang and Manning 2012) on IMDB, the baseline that the preset `best` is compared with: a linear SVM on
binary n-grams, each weighted by its log-count ratio. usage: nbsvm_imdb.py [LONGEST_NGRAM]"""
import json, sys, time
import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.svm import LinearSVC
import imdb

longest = int(sys.argv[1]) if len(sys.argv) > 1 else 3
(train, y), (test, truth) = imdb.texts("train"), imdb.texts("test")
clock, cpu = time.time(), time.process_time()
count = CountVectorizer(analyzer="word", tokenizer=imdb.words, token_pattern=None, lowercase=False,
                        ngram_range=(1, longest), binary=True, min_df=2)
x = count.fit_transform(train)
p, q = [1 + np.asarray(x[y == label].sum(0)).ravel() for label in (1, 0)]
ratio = np.log((p / p.sum()) / (q / q.sum()))
svm = LinearSVC(C=0.1).fit(x.multiply(ratio).tocsr(), y)
# Equation 6: between the SVM's weights and their mean size, a quarter of the way.
weights = 0.25 * svm.coef_.ravel() + 0.75 * np.abs(svm.coef_).mean()
logits = count.transform(test) @ (ratio * weights)
accuracy = float(np.mean((logits + svm.intercept_[0] > 0) == truth))
print(json.dumps({"ngrams": longest, "features": x.shape[1], "accuracy": accuracy,
                  "seconds": time.time() - clock, "cpu_seconds": time.process_time() - cpu}))
