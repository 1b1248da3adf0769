"""The least that answers over HTTP: Starlette on uvicorn, one route. Its argument is the port."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def health(request: Request) -> JSONResponse:
    """It lives."""
    del request
    return JSONResponse({"status": "live"})


app = Starlette(routes=[Route("/v1/health", health)])

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
