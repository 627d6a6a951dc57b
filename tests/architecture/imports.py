"""Reads what each module of Keystead imports, without running any of it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
PACKAGE = "keystead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported name; both are dotted, `imported` as far as the statement tells."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def modules() -> Iterator[tuple[str, Path]]:
    """Every hand-written module of the package: its dotted name and its file."""
    for path in sorted((SOURCE / PACKAGE).rglob("*.py")):
        name = module_name(path)
        if within(name, "keystead.protocol") and path.name != "__init__.py":
            continue  # generated
        yield name, path


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports() -> Iterator[Import]:
    """Every import of every module, also those inside functions and under TYPE_CHECKING."""
    for name, path in modules():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            for imported in targets(node, package):
                yield Import(importer=name, imported=imported, line=getattr(node, "lineno", 0))


def targets(node: ast.AST, package: str) -> list[str]:
    """What a statement imports; `from a import b` is a.b, which is exact enough for a module b."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, base] if base else above)
        return [f"{base}.{alias.name}" for alias in node.names]
    return []


def within(name: str, prefix: str) -> bool:
    """Whether a dotted name is `prefix` or lies below it."""
    return name == prefix or name.startswith(prefix + ".")


def unit(name: str) -> str:
    """The part of the package that a module belongs to: its first component below `keystead`."""
    return [*name.split("."), ""][1]
