"""`device`, `name_scope`, `remat`, switches of `config`."""

import numpy as np
import pytest
import torch

import kerastorch as keras


def test_device() -> None:
    with keras.device("meta"):
        assert keras.Variable(lambda shape, dtype: torch.zeros(shape), shape=(2,)).is_meta
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
    assert layer.kernel.is_meta
    with pytest.raises(ValueError, match="received 3"):
        keras.device(3)  # type: ignore[arg-type]
    if torch.accelerator.current_accelerator() is None:
        with pytest.raises(ValueError, match="'gpu:0' was asked for"):
            keras.device("gpu:0")


def test_name_scope() -> None:
    class Own(keras.layers.Layer):
        def build(self, input_shape: object) -> None:
            with keras.name_scope("inner"):
                self.a = self.add_weight((), name="a")
            self.b = self.add_variable((), "ones", name="b")

        def call(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.a + self.b

    layer = Own(name="own")
    layer(torch.ones(1))
    assert [w.path for w in layer.weights] == ["own/inner/a", "own/b"]
    with pytest.raises(ValueError, match="'a/b'"), keras.name_scope("a/b"):
        pass


def test_remat_runs_again_with_the_same_gradients() -> None:
    runs = []
    layer = keras.layers.Dense(3, activation="gelu")
    x = torch.randn(4, 2, requires_grad=True)
    (expected,) = torch.autograd.grad(layer(x).square().sum(), x)

    def counted(x: torch.Tensor) -> torch.Tensor:
        runs.append(1)
        return layer(x)

    (found,) = torch.autograd.grad(keras.remat(counted)(x).square().sum(), x)
    torch.testing.assert_close(found, expected)
    assert len(runs) == 2


@pytest.fixture
def model() -> keras.Sequential:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_limits_of_runs(model: keras.Sequential) -> None:
    x, seen = np.ones((10, 1)), []
    log = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    keras.config.set_max_epochs(2)
    keras.config.set_max_steps_per_epoch(3)
    try:
        history = model.fit(x, x, batch_size=2, epochs=5, verbose=0, callbacks=[log])
        assert model.predict(x, batch_size=2).shape == (6, 1)
    finally:
        keras.config.set_max_epochs(None)
        keras.config.set_max_steps_per_epoch(None)
    assert history.epoch == [0, 1]
    assert seen[:3] == [0, 1, 2]
    assert max(seen) == 2
    assert len(model.predict(x, batch_size=2)) == 10


def test_interactive_logging(model: keras.Sequential, capsys: pytest.CaptureFixture[str]) -> None:
    keras.utils.disable_interactive_logging()
    try:
        model.fit(np.ones((4, 1)), np.ones(4))
    finally:
        keras.config.enable_interactive_logging()
    quiet = capsys.readouterr().out
    model.fit(np.ones((4, 1)), np.ones(4))
    assert "[==" in capsys.readouterr().out
    assert "[==" not in quiet
    assert "loss" in quiet


def test_flash_attention() -> None:
    assert keras.config.is_flash_attention_enabled()
    keras.config.disable_flash_attention()
    try:
        assert not torch.backends.cuda.flash_sdp_enabled()
    finally:
        keras.config.enable_flash_attention()
    assert keras.config.is_flash_attention_enabled()


def test_policies_from_config_and_mixed_precision() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        assert keras.mixed_precision.global_policy().compute_dtype == "bfloat16"
        data = keras.dtype_policies.serialize(keras.config.dtype_policy())
    finally:
        keras.mixed_precision.set_global_policy(None)
    assert keras.dtype_policies.deserialize(data).name == "mixed_bfloat16"


def test_one_backend() -> None:
    keras.config.set_backend("torch")
    with pytest.raises(ValueError, match="always 'torch'"):
        keras.config.set_backend("jax")


def test_run_eagerly_and_jit_compile_can_be_set(model: keras.Sequential) -> None:
    assert (model.run_eagerly, model.jit_compile) == (False, "auto")
    model.run_eagerly = True
    assert model.get_compile_config()["run_eagerly"] is True
    with pytest.raises(ValueError, match="compile"):
        keras.Sequential([keras.layers.Dense(1)]).jit_compile = False
