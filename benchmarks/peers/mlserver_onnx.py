"""MLServer with a runtime for ONNX models, which it has none of.

Its arguments are the model's file, how many processes run it (0: the server's own), and the port.
"""

import asyncio
import socket
import sys
import tempfile

import onnxruntime as ort
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse


class OnnxModel(MLModel):
    """A session of ONNX Runtime."""

    async def load(self) -> bool:
        """Load the model."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Tensors through the model."""
        arrays = {each.name: NumpyCodec.decode_input(each) for each in payload.inputs}
        (y,) = self.session.run(None, arrays)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", y)])


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


async def main(path: str, processes: int, port: int, folder: str) -> None:
    """Serve the model as `mlp` until the process is ended."""
    settings = Settings(
        host="127.0.0.1",
        http_port=port,
        grpc_port=free_port(),
        metrics_port=free_port(),
        metrics_dir=folder,
        parallel_workers=processes,
        debug=False,
        load_models_at_startup=False,
    )
    model = ModelSettings(
        name="mlp",
        implementation="mlserver_onnx.OnnxModel",
        parameters=ModelParameters(uri=path),
    )
    await MLServer(settings).start([model])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), folder))
