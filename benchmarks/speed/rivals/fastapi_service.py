"""The rival as a FastAPI application under uvicorn: a blocking route, so in its thread pool."""

import os
from io import BytesIO
from typing import Annotated, Any

from fastapi import FastAPI, File
from PIL import Image

from benchmarks.speed.rivals.eager import Answers

api = FastAPI()
answers = Answers(int(os.environ["RIVAL_HEADS"]))


@api.get("/livez")
def livez() -> dict[str, str]:
    """Answers as soon as it runs."""
    return {"status": "alive"}


@api.post("/predict")
def predict(images: Annotated[bytes, File()]) -> dict[str, Any]:
    """The probabilities of each head."""
    return answers([Image.open(BytesIO(images))])[0]
