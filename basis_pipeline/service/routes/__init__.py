"""The routes, one module per resource."""

from typing import Any

from fastapi import APIRouter

from basis_pipeline.service.problems import Problem

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": "A problem"} for status in ("4XX", "5XX")
}


def router(tag: str) -> APIRouter:
    """Return the router of a resource, with `Problem` as the shape of its errors."""
    return APIRouter(tags=[tag], responses=PROBLEMS)
