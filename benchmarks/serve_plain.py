"""A digit's answer over HTTP as tutorials write it: FastAPI, Pillow, ONNX Runtime. The peer of serve_race.py.

MODEL=model.onnx uvicorn serve_plain:app
"""

import io
import os

import numpy as np
import onnxruntime
from fastapi import FastAPI, Request
from PIL import Image

app = FastAPI()
session = onnxruntime.InferenceSession(os.environ["MODEL"], providers=["CPUExecutionProvider"])


@app.post("/predict")
async def predict(request: Request):
    image = Image.open(io.BytesIO(await request.body())).convert("L").resize((28, 28))
    pixels = np.asarray(image, dtype=np.float32)[None, None] / 255
    logits = session.run(None, {"pixels": pixels})[0][0]
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    return {"class": int(shares.argmax()), "probabilities": shares.tolist()}
