"""The OpenAPI 3.1 document, built from the Structs."""

from typing import Any

import msgspec
from msgspec import Struct

from sensorium.core.operation import Kind, Operation
from sensorium.core.registry import Registry
from sensorium.core.schema import components
from sensorium.core.version import VERSION
from sensorium.transports.http.compat.founding import FOUNDING
from sensorium.transports.http.problems import STATUS, Problem
from sensorium.transports.http.routes import HEALTH

JSON = "application/json"


def document(registry: Registry) -> bytes:
    """The document of every operation there is, as JSON."""
    operations = list(registry)
    kinds: dict[type[Struct], None] = {Problem: None}
    for each in operations:
        kinds.update(dict.fromkeys((each.request, each.response)))
        if each.incoming is not None:
            kinds[each.incoming] = None
    references, schemas = components(kinds)
    refs = dict(zip(kinds, references, strict=True))
    paths: dict[str, Any] = {}
    for each in operations:
        described = _path(each, refs)
        paths[f"/v1/{each.name.replace('.', '/')}"] = described
    by_name = {each.name: each for each in operations}
    for path, alias in {**FOUNDING, **HEALTH}.items():
        if alias.operation in by_name:
            described = _path(by_name[alias.operation], refs, suffix=path)
            paths[path] = {"get": described["get"]} if alias.health else {"post": described["post"]}
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Sensorium",
            "version": VERSION,
            "description": "One server that reads logs, watches metrics and forecasts them.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }
    return msgspec.json.encode(whole)


def _path(each: Operation, refs: dict[Any, Any], suffix: str = "") -> dict[str, Any]:
    noun, _, verb = each.name.partition(".")
    responses: dict[str, Any] = {"200": _success(each, refs)}
    problem = {"application/problem+json": {"schema": refs[Problem]}}
    responses["default"] = {
        "description": f"A problem document; codes: {', '.join(STATUS)}.",
        "content": problem,
    }
    common: dict[str, Any] = {
        "tags": [noun],
        "summary": each.summary,
        "description": each.description,
        "responses": responses,
        "security": [] if each.public else [{}, {"bearer": []}, {"key": []}],
    }
    tail = "".join(c if c.isalnum() else "_" for c in suffix)
    found = {
        "post": {**common, "operationId": f"{noun}_{verb}{tail}", "requestBody": _body(each, refs)}
    }
    if each.kind is Kind.DUPLEX:
        found["post"]["parameters"] = [_query(each, refs)]
    if each.takes_nothing:
        found["get"] = {**common, "operationId": f"{noun}_{verb}{tail}_get"}
    return found


def _success(each: Operation, refs: dict[Any, Any]) -> dict[str, Any]:
    schema = refs[each.response]
    if each.kind is Kind.UNARY:
        return {"description": "The answer.", "content": {JSON: {"schema": schema}}}
    line = {
        "type": "object",
        "properties": {"chunk": schema, "end": {"type": "object"}, "error": {"type": "object"}},
    }
    return {
        "description": "A line or an event for each item, and one for the end.",
        "content": {
            "application/x-ndjson": {"schema": line},
            "text/event-stream": {"schema": schema},
        },
    }


def _query(each: Operation, refs: dict[Any, Any]) -> dict[str, Any]:
    """The request of an operation whose body is its items: each field a part of the query."""
    return {
        "name": "request",
        "in": "query",
        "style": "form",
        "explode": True,
        "schema": refs[each.request],
    }


def _body(each: Operation, refs: dict[Any, Any]) -> dict[str, Any]:
    if each.kind is Kind.DUPLEX:
        content: dict[str, Any] = {"application/x-ndjson": {"schema": refs[each.incoming]}}
    else:
        content = {JSON: {"schema": refs[each.request]}}
        if each.example is not None:
            content[JSON]["examples"] = {"example": {"value": each.example}}
    if each.lines_field is not None:
        content["text/plain"] = {"schema": {"type": "string"}}
        if each.kind is Kind.UNARY:
            content["application/x-ndjson"] = {"schema": {"type": "string"}}
            content["multipart/form-data"] = {
                "schema": {"type": "object", "properties": {"file": {"type": "string"}}}
            }
    return {"content": content, "required": not each.takes_nothing}
