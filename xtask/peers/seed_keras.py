"""The model of Ben Bolte's post on convolutional sentiment models (preset seed) in Keras. Keras' Adam squares the rows
of an embedding's gradient before it sums the rows of the same word, which is a different optimiser. Here they are
summed first.
usage: seed_keras.py EPOCHS"""
import os, sys, time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf, keras
import imdb
from report import Report

tf.config.threading.set_intra_op_parallelism_threads(2)
tf.config.threading.set_inter_op_parallelism_threads(2)
keras.utils.set_random_seed(0)


class Adam(keras.optimizers.Adam):
    def update_step(self, gradient, variable, learning_rate):
        if isinstance(gradient, tf.IndexedSlices):
            gradient = tf.convert_to_tensor(gradient)
        super().update_step(gradient, variable, learning_rate)


class Clock(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.clock, self.cpu = time.time(), time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        report.epoch(self.clock, self.cpu)


report = Report()
train, validation, test = imdb.load()
normal = lambda: keras.initializers.RandomNormal(stddev=0.05)
model = keras.Sequential([
    keras.layers.Embedding(imdb.VOCABULARY, 32, embeddings_initializer=normal()),
    keras.layers.Conv1D(128, 3, kernel_initializer=normal(), padding="same", use_bias=False),
    keras.layers.Conv1D(1, 1),
    keras.layers.GlobalAveragePooling1D(),
    keras.layers.Activation("sigmoid"),
])
model.compile(optimizer=Adam(1e-3), loss="binary_crossentropy", metrics=["accuracy"])
for _ in range(int(sys.argv[1])):
    model.fit(*train, batch_size=32, epochs=1, verbose=0, callbacks=[Clock()])
    print(model.evaluate(*validation, batch_size=250, verbose=0), file=sys.stderr)
accuracy = model.evaluate(*test, batch_size=250, verbose=0)[1]
report.print(test_accuracy=accuracy, version=f"Keras {keras.__version__} on TensorFlow {tf.__version__}")
