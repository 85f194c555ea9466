"""The same network behind LitServe, which batches: the peer of serve_race.py, in an environment of its own.

MODEL=model.onnx BATCH=32 WAIT=0.002 python serve_lit.py PORT
"""

import io
import os
import sys
from typing import Annotated

import litserve
import numpy as np
import onnxruntime
from fastapi import Body
from PIL import Image


class Digits(litserve.LitAPI):
    def setup(self, device):  # noqa: ARG002 - LitServe's signature
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], providers=["CPUExecutionProvider"])

    def decode_request(self, request: Annotated[bytes, Body(media_type="image/png")]):
        image = Image.open(io.BytesIO(request)).convert("L").resize((28, 28))
        return np.asarray(image, dtype=np.float32)[None] / 255

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, x):
        (logits,) = self.session.run(None, {"pixels": x})
        shares = np.exp(logits - logits.max(1, keepdims=True))
        return shares / shares.sum(1, keepdims=True)

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return {"class": int(output.argmax()), "probabilities": output.tolist()}


if __name__ == "__main__":
    api = Digits(
        max_batch_size=int(os.environ.get("BATCH", "32")),
        batch_timeout=float(os.environ.get("WAIT", "0.002")),
    )
    server = litserve.LitServer(api, accelerator="cpu", fast_queue=os.environ.get("FAST", "") == "1")
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
