"""Layers: which package may import which, and no import cycles."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "flash_events"

MAY_IMPORT = {
    "errors": set(),
    "extras": set(),
    "sse": set(),
    "times": set(),
    "background": {"errors"},
    "identity": {"errors"},
    "bridge": {"errors"},
    "mistakes": {"bridge", "errors"},
    "updates": {"bridge", "errors", "mistakes"},
    "context": {"updates"},
    "progress": {"context", "errors", "updates"},
    "task_queue": set(),
    "brokers": {"background", "errors", "extras", "sse", "times"},
    "stores": {"background", "brokers", "errors", "extras", "sse", "times"},
    "settings": {"brokers", "errors", "identity"},
    "wire": {"bridge", "brokers", "errors", "mistakes", "settings", "sse", "updates"},
    "options": {"bridge", "errors", "updates", "wire"},
    "registration": {"errors", "options", "task_queue", "updates"},
    "runs": {
        "background", "bridge", "brokers", "context", "errors", "identity", "registration",
        "settings", "sse", "task_queue", "times", "updates", "wire",
    },
    "celery": {
        "bridge", "brokers", "context", "errors", "extras", "registration", "runs",
        "settings", "sse", "task_queue", "times", "updates", "wire",
    },
    "callbacks": {
        "bridge", "celery", "errors", "mistakes", "options", "registration", "task_queue",
    },
    "sharing": {
        "background", "brokers", "context", "errors", "extras", "runs", "settings", "stores",
        "updates", "wire",
    },
    "components": {"errors", "registration", "sharing", "updates"},
    "endpoint": {
        "background", "bridge", "brokers", "errors", "identity", "registration", "runs",
        "settings", "sharing", "sse", "stores", "wire",
    },
    "testing": {
        "bridge", "brokers", "context", "registration", "runs", "settings", "sharing", "sse",
        "stores", "times", "updates", "wire",
    },
    "operations": {"endpoint", "extras", "settings", "wire"},
    "plugin": {
        "bridge", "brokers", "callbacks", "endpoint", "errors", "mistakes", "operations",
        "options", "registration", "runs", "settings", "sharing",
        "stores",
    },
    "__main__": {"operations"},
    "__init__": {
        "callbacks", "components", "errors", "plugin", "progress", "settings", "sharing",
        "updates",
    },
}  # fmt: skip
"""Allowed imports; a layer is a package or a top-level module, and may import layers above it."""

PRIVATE_DASH = {"bridge"}

DRIVERS = {
    "celery": ("celery.",),
    "kombu": ("celery.",),
    "billiard": ("celery.",),
    "redis": ("brokers.", "stores."),
    "pandas": ("sharing.",),
    "polars": ("sharing.",),
    "pyarrow": ("sharing.",),
}
"""Optional libraries, and the only packages that import each."""


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(path: Path) -> set[str]:
    """Returns the modules that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if is_own(name) else node.module for name in names}
    return found


def is_own(name: str) -> bool:
    package, _, module = name.partition(".")
    return package == "flash_events" and module in MODULES


IMPORTS = {
    name: {
        imported.removeprefix("flash_events.") for imported in imports_of(path) if is_own(imported)
    }
    for name, path in MODULES.items()
}


def layer_of(module: str) -> str:
    return module.partition(".")[0]


def test_every_layer_has_a_rule() -> None:
    assert {layer_of(name) for name in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_allowed_layers(name: str) -> None:
    others = {layer_of(imported) for imported in IMPORTS[name]} - {layer_of(name)}
    assert others <= MAY_IMPORT[layer_of(name)]


def test_no_layer_may_import_a_later_one() -> None:
    order = list(MAY_IMPORT)
    assert [
        (layer, other)
        for layer, others in MAY_IMPORT.items()
        for other in others
        if order.index(other) >= order.index(layer)
    ] == []


def test_modules_have_no_import_cycle() -> None:
    TopologicalSorter(IMPORTS).prepare()  # raises CycleError with the modules


@pytest.mark.parametrize("name", MODULES)
def test_an_optional_library_is_imported_by_its_own_package_only(name: str) -> None:
    used = {module.partition(".")[0] for module in imports_of(MODULES[name])} & set(DRIVERS)
    assert all(name.startswith(DRIVERS[library]) for library in used)


@pytest.mark.parametrize("name", MODULES)
def test_dashs_private_names_are_used_in_one_file(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    private = {
        module
        for module in imports_of(MODULES[name])
        if module.split(".")[0] in ("dash", "_plotly_utils") and "._" in f".{module}"
    }
    attributes = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and ast.unparse(node.value) in ("app", "self.app", "self._app")
    }
    assert not (private | attributes) or name in PRIVATE_DASH


@pytest.mark.parametrize("name", ["wire.events", "updates", "callbacks", "options"])
def test_wire_and_checks_do_no_io(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    assert not any(
        isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) for node in ast.walk(tree)
    )


def test_no_test_imports_from_another_test() -> None:
    """Shared test code is in `tests.support` or in a fixture of a conftest."""
    found = [
        f"{path.name} imports {module}"
        for path in TESTS.rglob("*.py")
        for module in imports_of(path)
        if module.startswith("tests.") and re.search(r"\.(test_\w+|conftest)$", module)
    ]
    assert found == []


RENDERER = PACKAGE.parent / "renderer" / "src"

RENDERER_MAY_IMPORT = {
    "frames.ts": set(),
    "ids.ts": set(),
    "protocol.ts": {"ids.ts"},
    "dash": {"ids.ts", "protocol.ts"},
    "transport": {"dash", "ids.ts", "protocol.ts"},
    "apply": {"dash", "ids.ts", "protocol.ts", "transport"},
    "runs": {"apply", "dash", "ids.ts", "protocol.ts", "transport"},
    "tabs": {"ids.ts", "protocol.ts", "transport"},
    "tools": {"dash", "frames.ts", "ids.ts", "protocol.ts", "runs", "transport"},
    "index.ts": {"apply", "dash", "frames.ts", "ids.ts", "runs", "tabs", "transport"},
}
"""The same for the renderer; its layers are directories and top-level files."""

RENDERER_IMPORTS = {
    path.relative_to(RENDERER): {
        (path.parent / imported).resolve().relative_to(RENDERER)
        for imported in re.findall(r'from "(\.[^"]+)"', path.read_text("utf-8"))
    }
    for path in sorted(RENDERER.rglob("*.ts"))
}


@pytest.mark.parametrize("path", RENDERER_IMPORTS, ids=str)
def test_a_script_imports_only_allowed_layers(path: Path) -> None:
    layer = path.parts[0]
    others = {imported.parts[0] for imported in RENDERER_IMPORTS[path]} - {layer}
    assert others <= RENDERER_MAY_IMPORT[layer]


def test_scripts_have_no_import_cycle() -> None:
    TopologicalSorter(RENDERER_IMPORTS).prepare()
