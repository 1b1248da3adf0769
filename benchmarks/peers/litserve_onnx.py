"""LitServe, whose API runs an ONNX model. Its arguments are the file, rows of a batch, the port.

One API server and one worker, LitServe's defaults; the queue between them is its fast one. With
more than one row to a batch it waits a millisecond for them.
"""

import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime as ort

WAIT_S = 0.001


class OnnxAPI(litserve.LitAPI):
    """`{"input": [...]}` to `{"output": [...]}`."""

    def __init__(self, path: str, rows: int) -> None:
        super().__init__(max_batch_size=rows, batch_timeout=WAIT_S if rows > 1 else 0.0)
        self.path = path

    def setup(self, device: str) -> None:
        """Load the model."""
        del device
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(self.path, options)

    def decode_request(self, request: dict[str, Any]) -> Any:
        """The numbers of one row."""
        return np.array(request["input"], dtype=np.float32)

    def predict(self, x: Any) -> Any:
        """A row through the model, or the rows of a batch, which LitServe has stacked."""
        (y,) = self.session.run(None, {"x": np.atleast_2d(x)})
        return y

    def encode_response(self, output: Any) -> dict[str, Any]:
        """The numbers of one row."""
        return {"output": np.ravel(output).tolist()}


if __name__ == "__main__":
    path, rows, port = sys.argv[1:]
    server = litserve.LitServer(
        OnnxAPI(path, int(rows)), accelerator="cpu", devices=1, fast_queue=True
    )
    server.run(host="127.0.0.1", port=int(port), log_level="warning", generate_client_file=False)
