"""What a server on this machine receives."""

import json
import math
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch.callbacks import RemoteMonitor, _remote_monitor

LOGS = {"loss": torch.tensor(0.5), "accuracy": np.float32(0.25), "count": 3, "list": np.ones(2)}
SENT = {"epoch": 7, "loss": 0.5, "accuracy": 0.25, "count": 3.0, "list": [1.0, 1.0]}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server():
    """Its `root`, the requests that it got, and the `status` that it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            http.requests.append((self.path, dict(self.headers), body))
            if http.status:
                self.send_response(http.status)
                self.end_headers()

        def log_message(self, *args):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    http.requests, http.status = [], 200
    http.root = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield http
    http.shutdown()
    thread.join()
    http.server_close()


def test_form(server):
    RemoteMonitor(server.root, field="what").on_epoch_end(7, LOGS)
    ((path, headers, body),) = server.requests
    assert path == "/publish/epoch/end/"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    (value,) = urllib.parse.parse_qs(body)["what"]
    assert json.loads(value) == SENT


def test_json_with_headers(server):
    monitor = RemoteMonitor(server.root, "/here", headers={"X-Key": "k"}, send_as_json=True)
    monitor.on_epoch_end(7, LOGS)
    ((path, headers, body),) = server.requests
    assert path == "/here"
    assert (headers["Content-Type"], headers["X-Key"]) == ("application/json", "k")
    assert json.loads(body) == SENT


def test_what_is_not_finite_is_null(server):
    logs = {"a": math.nan, "b": torch.tensor([1.0, math.inf])}
    RemoteMonitor(server.root, send_as_json=True).on_epoch_end(0, logs)
    assert json.loads(server.requests[0][2]) == {"epoch": 0, "a": None, "b": [1.0, None]}


def fit(*callbacks):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model.fit(
        np.ones((4, 2)), np.ones(4), epochs=2, verbose=0, callbacks=list(callbacks)
    ).history["loss"]


def test_fit_tells_every_epoch(server):
    losses = fit(RemoteMonitor(server.root, send_as_json=True))
    expected = [{"epoch": i, "loss": loss} for i, loss in enumerate(losses)]
    assert [json.loads(body) for _, _, body in server.requests] == expected


@pytest.mark.parametrize("status", [0, 404, 500])  # 0 hangs up
def test_a_server_with_an_error_is_a_warning(status, server):
    server.status = status
    with pytest.warns(UserWarning, match=f"could not reach the server at {server.root}") as caught:
        assert len(fit(RemoteMonitor(server.root))) == 2
    assert len(caught) == 2
    if status:
        assert str(status) in str(caught[0].message)


def test_no_server_is_a_warning(server):
    gone = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    gone.server_close()
    with pytest.warns(UserWarning, match="could not reach"):
        assert len(fit(RemoteMonitor(f"http://127.0.0.1:{gone.server_port}"))) == 2


def test_a_server_that_never_answers_is_a_warning(monkeypatch):
    monkeypatch.setattr(_remote_monitor, "TIMEOUT", 0.05)
    silent = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    with silent, pytest.warns(UserWarning, match=r"could not reach the server.*timed out"):
        RemoteMonitor(f"http://127.0.0.1:{silent.server_port}").on_epoch_end(0, {})


@pytest.mark.parametrize("root", ["localhost:9000", "file:///tmp"])
def test_root_is_an_address_of_the_web(root):
    with pytest.raises(ValueError, match=r"root: expected http://\.\.\. or https://"):
        RemoteMonitor(root)
