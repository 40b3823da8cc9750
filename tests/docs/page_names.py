"""The names that a block uses which is not run: modules, attributes and keyword arguments exist.

The type of a value is what the called function is annotated to return; where that is not known,
nothing is said of what is done with it.
"""

import ast
import importlib
import inspect
import typing
from typing import Any

from page_blocks import PageError

UNKNOWN = object()


class Shape:
    """A value of which only the class is known."""

    def __init__(self, kind: type) -> None:
        self.kind = kind


class NameChecker(ast.NodeVisitor):
    """Walks over a block's statements in order, with what the names of the page are so far."""

    def __init__(self, place: str, names: dict[str, Any]) -> None:
        self.place = place
        self.names = names

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            module = self._module(alias.name)
            first = alias.name.partition(".")[0]
            self.names[alias.asname or first] = module if alias.asname else self._module(first)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = self._module(node.module or "")
        for alias in node.names:
            self.names[alias.asname or alias.name] = self._attribute(module, alias.name)

    def visit_Assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            for name in ast.walk(target):
                if isinstance(name, ast.Name):
                    self.names[name.id] = value if name is target else UNKNOWN

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.names[node.name] = UNKNOWN

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.names[node.name] = UNKNOWN

    def visit_Expr(self, node: ast.Expr) -> None:
        self.value(node.value)

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.expr):
            self.value(node)
        else:
            super().generic_visit(node)

    def value(self, node: ast.AST) -> Any:
        """Return what an expression is, as far as is known."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, UNKNOWN)
        if isinstance(node, ast.Attribute):
            return self._attribute(self.value(node.value), node.attr)
        if isinstance(node, ast.Call):
            return self._called(node)
        for child in ast.iter_child_nodes(node):
            self.value(child)
        return UNKNOWN

    def _called(self, node: ast.Call) -> Any:
        function = self.value(node.func)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            self.value(argument)
        if function is UNKNOWN or isinstance(function, Shape) or not callable(function):
            return UNKNOWN
        try:
            parameters = inspect.signature(function).parameters
        except ValueError:
            return UNKNOWN
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        for keyword in node.keywords:
            if keyword.arg and keyword.arg not in parameters and not takes_all:
                name = getattr(function, "__qualname__", function)
                raise PageError(self.place, f"{name} has no argument {keyword.arg!r}")
        return _returned(function)

    def _module(self, name: str) -> Any:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            if name.partition(".")[0] != "matir_nb":
                return UNKNOWN
            raise PageError(self.place, str(error)) from error

    def _attribute(self, owner: Any, name: str) -> Any:
        if owner is UNKNOWN:
            return UNKNOWN
        kind = owner.kind if isinstance(owner, Shape) else owner
        fields = getattr(kind, "__dataclass_fields__", {})
        if not hasattr(kind, name) and name not in fields:
            if name in getattr(kind, "__annotations__", {}):
                return UNKNOWN
            raise PageError(self.place, f"{getattr(kind, '__name__', kind)} has no {name!r}")
        found = getattr(kind, name, UNKNOWN)
        if isinstance(owner, Shape) and not inspect.isfunction(found):
            return UNKNOWN
        return found


def _returned(function: Any) -> Any:
    if inspect.isclass(function):
        return Shape(function)
    try:
        kind = typing.get_type_hints(function).get("return")
    except (NameError, TypeError):
        return UNKNOWN
    return Shape(kind) if inspect.isclass(kind) and kind.__module__[:8] == "matir_nb" else UNKNOWN


def check_names(place: str, code: str, names: dict[str, Any]) -> None:
    """Raise `PageError` where a name of `code` does not exist; `names` grows by what it binds."""
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        raise PageError(place, str(error)) from error
    NameChecker(place, names).visit(tree)
