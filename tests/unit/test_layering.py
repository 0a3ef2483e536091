"""Who may import whom, read from the imports of every module."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FEATURES = (
    "people",
    "cases",
    "availability",
    "scheduling",
    "boards",
    "records",
    "consultations",
    "transcripts",
    "notices",
    "matching",
    "waiting",
)
FEATURE_USES = {  # whose services a feature's own service may call
    "people": set(),
    "cases": {"people"},
    "availability": {"people"},
    "scheduling": {"availability", "cases", "people"},
    "boards": {"scheduling", "availability", "cases", "people"},
    "records": {"cases"},
    "consultations": {"scheduling", "cases", "people"},
    "transcripts": {"consultations"},
    "notices": {"scheduling", "cases", "people"},
    "matching": {"availability", "scheduling", "cases", "people"},
    "waiting": {"scheduling", "availability", "notices", "cases", "people"},
}
PAGES = ("views", "web")  # modules of a feature that make answers: they may call any feature's service
COMPOSITION = {"consult.app", "consult.worker", "consult.__main__", "consult.demo", "consult.rooms", "consult.keys"}
SEAMS = {"ticket", "events", "bus"}
SIGNALING_LAYERS = ("endpoint", "connection", "hub", "room")


def modules(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports at run time, inside functions too; those for types alone are left out."""
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if (ROOT / Path(*whole.split("."))).with_suffix(".py").exists() else node.module
        pending.extend(ast.iter_child_nodes(node))


def test_signaling_imports_nothing_from_consult() -> None:
    breaches = [
        (name, used) for name, path in modules("signaling") for used in imports(path) if used.startswith("consult")
    ]
    assert breaches == []


def test_only_composition_takes_more_of_signaling_than_its_seams() -> None:
    breaches = [
        (name, used)
        for name, path in modules("consult")
        for used in imports(path)
        if used.startswith("signaling.") and used.split(".")[1] not in SEAMS and name not in COMPOSITION
    ]
    assert breaches == []


def test_aiohttp_redis_and_aiortc_internals_stay_in_one_file_each() -> None:
    for name, path in modules("signaling"):
        used = set(imports(path))
        if any(module.startswith("aiohttp.web") or module == "aiohttp" for module in used):
            assert name in ("signaling.endpoint",), name
        if any(module.split(".")[0] == "redis" for module in used):
            assert name == "signaling.redis_bus", name


def test_features_reach_each_other_by_model_and_service_alone() -> None:
    breaches = []
    for feature in FEATURES:
        for name, path in modules(f"consult/{feature}"):
            for used in imports(path):
                parts = used.split(".")
                if parts[0] != "consult" or len(parts) < 3 or parts[1] not in FEATURES or parts[1] == feature:
                    continue
                if parts[2] not in ("model", "service", "errors"):
                    breaches.append((name, used))
    assert breaches == []


def test_services_call_in_one_direction() -> None:
    breaches = []
    for feature, allowed in FEATURE_USES.items():
        for name, path in modules(f"consult/{feature}"):
            if name.rpartition(".")[2].startswith(PAGES) or name.rpartition(".")[2].endswith(PAGES):
                continue
            for used in imports(path):
                parts = used.split(".")
                other = parts[1] if parts[0] == "consult" and len(parts) > 1 else feature
                if other in FEATURES and other != feature and other not in allowed:
                    breaches.append((name, used))
    assert breaches == []


def test_models_and_domain_know_the_standard_library_and_domain_alone() -> None:
    breaches = []
    for name, path in modules("consult"):
        if not (name.startswith("consult.domain") or name.endswith(".model")):
            continue
        for used in imports(path):
            if used.startswith("consult.domain") or used.split(".")[0] in sys.stdlib_module_names:
                continue
            breaches.append((name, used))
    assert breaches == []


def test_views_hold_no_sql_and_queries_no_pages() -> None:
    breaches = []
    for feature in FEATURES:
        for name, path in modules(f"consult/{feature}"):
            used = set(imports(path))
            last = name.rpartition(".")[2]
            if last.startswith("views") and any(module.endswith(("queries",)) for module in used):
                breaches.append((name, "queries"))
            if (last.endswith("queries") or last.startswith("service")) and any(
                module.startswith(("consult.web", "aiohttp")) and module != "consult.web.words" for module in used
            ):
                breaches.append((name, "web"))
    assert breaches == []
