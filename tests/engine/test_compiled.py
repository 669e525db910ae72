"""The compiler switch: what Python may call, and what only compiled code may."""

import ast
import importlib
import pkgutil

import numba
import pytest
from numba.core.registry import CPUDispatcher

from basis_pipeline import engine
from basis_pipeline.settings import project_root

CODE = ("basis_pipeline", "tests", "benchmarks")


def names_that_only_compiled_code_calls() -> set[str]:
    """Return the functions without a Python wrapper: a call of one ends the process."""
    modules = [
        importlib.import_module(f"{engine.__name__}.{found.name}")
        for found in pkgutil.iter_modules(engine.__path__)
    ]
    return {
        name
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, CPUDispatcher) and value.targetoptions.get("no_cpython_wrapper")
    }


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the engine runs uncompiled")
def test_no_module_of_python_imports_what_it_cannot_call() -> None:
    """Outside of the engine only `entry` functions are imported, or wrapped in one."""
    inner, wrong = names_that_only_compiled_code_calls() | {"compiled", "hot"}, []
    for folder in CODE:
        for path in (project_root() / folder).rglob("*.py"):
            if path.is_relative_to(project_root() / "basis_pipeline" / "engine"):
                continue
            names = {
                alias.name
                for node in ast.walk(ast.parse(path.read_text("utf-8")))
                if isinstance(node, ast.ImportFrom)
                and (node.module or "").startswith(engine.__name__)
                for alias in node.names
            }
            if "entry" not in names:
                wrong += [f"{path}: {name}" for name in sorted(names & inner)]
    assert len(inner) > 40
    assert not wrong
