"""The routes, a module a resource."""

from typing import Any

from fastapi import APIRouter

from basis_pipeline.service.problems import Problem

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": "A problem"} for status in ("4XX", "5XX")
}


def router(tag: str) -> APIRouter:
    """Return the router of a resource; its errors are problems."""
    return APIRouter(tags=[tag], responses=PROBLEMS)
