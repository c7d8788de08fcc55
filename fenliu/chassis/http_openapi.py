"""OpenAPI 3.1 as it is really answered: problem details on every route, bearer tokens where they are needed."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from fenliu.chassis.http_body import is_secured
from fenliu.chassis.http_problems import Problem, ProblemError, problem_responses

EVERYWHERE = (400, 413, 414, 415, 422, 429, 500, 503)


def openapi(app: FastAPI) -> dict[str, Any]:
    """The description of `app`; made once."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            servers=[{"url": "/", "description": "this service"}],
        )
        for route in app.routes:
            if isinstance(route, APIRoute) and route.include_in_schema:
                for method in route.methods or ():
                    _complete(schema["paths"][route.path_format][method.lower()], route)
        components = schema.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        for model in (Problem, ProblemError):
            described = model.model_json_schema(ref_template="#/components/schemas/{model}")
            described.pop("$defs", None)
            schemas[model.__name__] = described
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        components["securitySchemes"] = {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "A token of `fenliu token`, or where the route says so a publishable key (pk_…).",
            }
        }
        app.openapi_schema = schema
    return app.openapi_schema


def _complete(operation: dict[str, Any], route: APIRoute) -> None:
    statuses = list(EVERYWHERE)
    if is_secured(route.dependant):
        statuses += [401, 403]
        operation["security"] = [{"bearer": []}]
    if route.dependant.path_params:
        statuses.append(404)
    if route.body_field is not None:
        statuses.append(408)
    answers = operation.setdefault("responses", {})
    for status, answer in problem_responses(*sorted(statuses)).items():
        known = answers.get(str(status))
        if known is None or status == 422:
            answers[str(status)] = answer
