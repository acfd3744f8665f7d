"""A small classifier of handwritten digits: train with validation, evaluate, predict.

Run it with ``make demo``. It needs no network: where the cache has no MNIST, the copy in
``examples/data`` is used.
"""

import os
from pathlib import Path

import kerastorch as keras
from kerastorch import layers

LOG_DIR = "logs/mnist_mlp"


def load_mnist():
    """The four arrays, from the cache if they are there, else from the copy beside this file."""
    home = Path(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras"))
    cached = home / "datasets" / "mnist.npz"
    bundled = Path(__file__).parent / "data" / "mnist.npz"
    return keras.datasets.mnist.load_data(cached if cached.exists() else bundled)


def get_model():
    """784 -> 64 -> 64 -> 10 probabilities."""
    inputs = keras.Input(shape=(784,), name="digits")
    x = layers.Dense(64, activation="relu", name="dense_1")(inputs)
    x = layers.Dense(64, activation="relu", name="dense_2")(x)
    outputs = layers.Dense(10, activation="softmax", name="predictions")(x)
    return keras.Model(inputs=inputs, outputs=outputs)


def main():
    (x_train, y_train), (x_test, y_test) = load_mnist()
    x_train = x_train.reshape(60000, 784).astype("float32") / 255
    x_test = x_test.reshape(10000, 784).astype("float32") / 255
    y_train = y_train.astype("float32")
    y_test = y_test.astype("float32")

    # The last 10,000 samples are for validation.
    x_train, x_val = x_train[:-10000], x_train[-10000:]
    y_train, y_val = y_train[:-10000], y_train[-10000:]

    model = get_model()
    model.compile(
        optimizer=keras.optimizers.RMSprop(),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
    )

    print("Fit model on training data")
    history = model.fit(
        x_train,
        y_train,
        batch_size=64,
        epochs=2,
        validation_data=(x_val, y_val),
        callbacks=[keras.callbacks.TensorBoard(LOG_DIR)],
    )
    print(history.history)

    print("Evaluate on test data")
    results = model.evaluate(x_test, y_test, batch_size=128)
    print("test loss, test acc:", results)

    print("Generate predictions for 3 samples")
    predictions = model.predict(x_test[:3])
    print("predictions shape:", predictions.shape)

    print(f"Curves: tensorboard --logdir {LOG_DIR}")


if __name__ == "__main__":
    main()
