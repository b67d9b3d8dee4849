"""The floor of every answer: a route that reads the body and says something as long. No more.

Mounted as the product is, in FastAPI inside BentoML; as `api`, it runs under uvicorn alone.
"""

import bentoml
from fastapi import FastAPI, Request
from fastapi.responses import Response

ANSWER = b'{"space":"0","results":[' + b'"' + b"x" * 420 + b'"' + b"]}"
"""As long as the product's about one image and one head."""

api = FastAPI()


@api.get("/livez")
def livez() -> Response:
    """Answers as soon as it runs."""
    return Response(b"{}", media_type="application/json")


@api.post("/v1/predict")
async def predict(request: Request) -> Response:
    """Reads the body."""
    await request.body()
    return Response(ANSWER, media_type="application/json")


@bentoml.service(workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})
@bentoml.asgi_app(api)
class Service:
    """Nothing but the route."""
