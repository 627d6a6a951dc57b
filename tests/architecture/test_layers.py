"""What may import what. The tables are the rule; a new edge is a reviewed change of this file."""

import subprocess
import sys

import pytest

from .imports import Import, imports, modules, unit, within

BASE = {"errors", "model", "operations"}
STAGE = BASE | {"ports", "codec", "jose"}
STAGES = {
    "evidence",
    "appraisal",
    "binding",
    "issuance",
    "identity",
    "delegation",
    "relying",
    "audit",
}
COMMAND = STAGE | STAGES | {"agent", "app", "config", "hardware", "system", "protocol", "testing"}

# Every file and folder right below keystead/, bottom up, and the others that it may import.
MAY_IMPORT: dict[str, set[str]] = {
    # 0: vocabulary
    "errors": set(),
    "model": {"errors"},
    "operations": {"errors", "model"},
    "ports": BASE,
    "_native": set(),
    "protocol": set(),  # generated gRPC messages
    # 1, 2: bytes, signatures
    "codec": BASE,
    "jose": BASE | {"codec", "_native"},
    # 3: the stages, in the order in which data passes them
    "evidence": STAGE,
    "appraisal": STAGE | {"evidence"},
    "binding": STAGE | {"evidence", "appraisal"},
    "issuance": STAGE | {"evidence", "appraisal", "binding", "identity", "delegation"},
    "identity": STAGE,
    "delegation": STAGE,
    "relying": STAGE | {"_native"},  # the memory of proofs
    "audit": STAGE,
    # 4: the use cases; adapters to the outside
    "service": STAGE | STAGES,
    "hardware": BASE | {"ports", "codec"},
    "storage": BASE | {"ports", "codec"},
    "system": BASE | {"ports"},
    # 5: doors
    "server": BASE | {"service", "ports", "codec", "protocol"},
    # 6: what joins ports to adapters
    "config": BASE | {"codec"},
    "app": STAGE
    | STAGES
    | {"service", "hardware", "storage", "system", "server", "config", "testing"},
    # 7: what people and tests start
    "dev": BASE | {"app", "config", "testing"},
    "testing": STAGE | {"hardware", "system"},
    "agent": STAGE | {"evidence", "binding", "hardware", "system", "protocol", "config"},
    "demo": COMMAND | {"dev"},
    "cli": COMMAND | {"demo", "dev", "service"},
    "": {"relying", "errors", "model"},  # keystead/__init__.py
    "__main__": {"cli"},
}

ENTRY_POINTS = {"testing", "agent", "demo", "cli"}

# Single modules that may import more than their folder.
MODULE_MAY_ALSO_IMPORT: dict[str, set[str]] = {
    "keystead.relying.grpc": {"protocol"},
}

# The only third-party packages there are, and the modules that may import them.
THIRD_PARTY: dict[str, set[str]] = {
    "cryptography": {"jose", "appraisal", "binding", "hardware.memory_key", "demo", "testing"},
    "OpenSSL": {"jose", "appraisal", "binding", "hardware.memory_key", "demo", "testing"},
    # Not among a relying party's dependencies, so in nothing that it imports.
    "msgspec": {
        "evidence",
        "appraisal",
        "binding",
        "issuance",
        "identity",
        "delegation",
        "audit",
        "service",
        "storage",
        "server",
        "config",
        "app",
        "agent",
        "demo",
        "dev",
        "cli",
    },
    "grpc": {"server.grpc", "agent", "relying.grpc", "cli", "app", "demo", "testing"},
    "grpc_health": {"server.grpc", "app", "cli", "demo"},
    "grpc_reflection": {"server.grpc", "app"},
    "google": {"protocol", "server.grpc", "agent", "relying.grpc", "cli", "demo"},
    "starlette": {"server.http", "app", "demo"},
    "uvicorn": {"server.http", "app", "demo"},
    "uvloop": {"app", "cli", "demo"},
    "httptools": {"server.http"},
    "httpx": {"agent", "system", "demo", "cli"},
    "prometheus_client": {"server"},
    "structlog": {"service", "server", "hardware", "storage", "system", "app", "agent", "cli"},
    "cedarpy": {"delegation"},
    "cbor2": {"codec.cbor"},
    "sqlite3": {"storage"},  # of the standard library, but a database driver all the same
    "rich": {"cli", "demo"},
    "pytest": {"testing"},
}

# `keystead.Verifier` must start without any of these.
NOT_FOR_RELYING_PARTIES = [
    "grpc",
    "google.protobuf",
    "starlette",
    "uvicorn",
    "sqlite3",
    "OpenSSL",
    "msgspec",
    "httpx",
    "cedarpy",
    "cbor2",
    "prometheus_client",
    "structlog",
    "rich",
]

ALL_IMPORTS = list(imports())


def refused_edge(edge: Import) -> bool:
    importer, imported = unit(edge.importer), unit(edge.imported)
    if importer == imported or imported not in MAY_IMPORT:
        return False  # of one folder; or a public name of keystead/__init__.py
    also = MODULE_MAY_ALSO_IMPORT.get(edge.importer, set())
    return imported not in MAY_IMPORT.get(importer, set()) | also


def test_every_part_of_the_package_stands_in_the_table() -> None:
    assert {unit(name) for name, _ in modules()} <= MAY_IMPORT.keys()


def test_imports_point_down_only() -> None:
    ours = [edge for edge in ALL_IMPORTS if within(edge.imported, "keystead")]
    assert [str(edge) for edge in ours if refused_edge(edge)] == []


def test_only_entry_points_import_the_public_package() -> None:
    public = [
        edge
        for edge in ALL_IMPORTS
        if within(edge.imported, "keystead") and unit(edge.imported) not in MAY_IMPORT.keys() - {""}
    ]
    assert [str(edge) for edge in public if unit(edge.importer) not in ENTRY_POINTS] == []


def test_the_table_itself_has_no_circle() -> None:
    left = {name: set(below) for name, below in MAY_IMPORT.items()}
    while left:
        lowest = [name for name, below in left.items() if not below & left.keys()]
        assert lowest, f"these import each other: {sorted(left)}"
        for name in lowest:
            del left[name]


def test_only_entry_points_join_adapters_to_stages() -> None:
    adapters = {"hardware", "storage", "system", "server"}
    joiners = {
        name
        for name, below in MAY_IMPORT.items()
        if below & adapters and below & (STAGES | {"service"}) and name != "server"
    }
    assert joiners == {"app", "agent", "demo", "cli"}
    assert {name for name, below in MAY_IMPORT.items() if "storage" in below} == {"app"}


def test_third_party_packages_stay_in_their_places() -> None:
    wrong = []
    for edge in ALL_IMPORTS:
        package = edge.imported.split(".")[0]
        if package == "keystead" or (package in sys.stdlib_module_names - THIRD_PARTY.keys()):
            continue
        places = THIRD_PARTY.get(package, set())
        if not any(within(edge.importer, f"keystead.{place}") for place in places):
            wrong.append(str(edge))
    assert wrong == []


@pytest.mark.parametrize(
    "statement",
    [
        "import keystead",
        "import keystead.relying",
        "from keystead import Verifier",
        "import keystead.cli.verify",
    ],
)
def test_relying_party_loads_no_service(statement: str) -> None:
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    loaded = set(run.stdout.split())
    assert loaded.intersection(NOT_FOR_RELYING_PARTIES) == set()
