"""FastAPI with nothing beside its own validation. Its argument is the port."""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()


class Token(BaseModel):
    """What our own operation takes and returns, field by field."""

    token: str = Field(max_length=1_000_000)
    seconds: float = Field(default=0.0, ge=0, le=600)


@app.get("/v1/health")
async def health() -> dict[str, str]:
    """It lives."""
    return {"status": "live"}


@app.post("/v1/testing/inline")
async def on_loop(request: Token) -> Token:
    """The token, on the event loop."""
    return request


@app.post("/v1/testing/thread")
def on_thread(request: Token) -> Token:
    """The token, on a thread."""
    return request


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
