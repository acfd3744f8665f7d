"""Tell a server about every epoch."""

from __future__ import annotations

import http.client
import json
import math
import urllib.parse
import urllib.request
import warnings
from collections.abc import Mapping
from typing import Any

from kerastorch.callbacks._callback import Callback, Logs
from kerastorch.callbacks._history import as_plain

TIMEOUT = 10.0  # seconds


class RemoteMonitor(Callback):
    """POST each epoch's number and values to ``root + path``.

    They are sent as JSON, ``{"epoch": 0, "loss": 0.5}``, in the field `field` of a form, or with
    `send_as_json` as the body; what is not finite as null. `headers` are added to the request.
    A server that does not answer, or with an error, is a warning: training goes on.
    Keras: ``keras.callbacks.RemoteMonitor``.

    >>> import kerastorch as keras
    >>> monitor = keras.callbacks.RemoteMonitor("https://example.org", send_as_json=True)
    >>> monitor.root + monitor.path
    'https://example.org/publish/epoch/end/'
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        if not root.startswith(("http://", "https://")):
            raise ValueError(f"root: expected http://... or https://..., received {root!r}.")
        super().__init__()
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Send the values."""
        values = {name: as_plain(value) for name, value in (logs or {}).items()}
        body = json.dumps({"epoch": epoch, **{name: _finite(v) for name, v in values.items()}})
        headers = dict(self.headers or {})
        if self.send_as_json:
            headers = {"Content-Type": "application/json", **headers}
        else:
            body = urllib.parse.urlencode({self.field: body})
        request = urllib.request.Request(self.root + self.path, body.encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT):
                pass
        except (OSError, http.client.HTTPException) as error:
            warnings.warn(
                f"RemoteMonitor could not reach the server at {self.root}: {error!r}.", stacklevel=2
            )


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
