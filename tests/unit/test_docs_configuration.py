"""docs/configuration.md against the structs, the policies' parsers and the doors' limits."""

import ast
import inspect
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.inspect import (
    BoolType,
    DictType,
    IntType,
    LiteralType,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
)

from keystead.appraisal.policy import parse_policy
from keystead.config import Config, parse_config
from keystead.delegation import policy_form
from keystead.delegation.audiences import MAX_TOKEN_LIFETIME_S
from keystead.delegation.grants import MAX_GRANT_TTL_S
from keystead.delegation.policy import DelegationPolicy
from keystead.delegation.schema import SCHEMA, PolicyAction
from keystead.errors import ConfigurationError
from keystead.model import AnchorClass
from keystead.relying.batch import MAX_BATCH
from keystead.server import limits
from tests.certificates import TestAuthority
from tests.documents import blocks, code, codes, rows

DOCUMENT = "configuration.md"
Entry = tuple[str, str, str]


def entries(struct: StructType, path: str = "", default: object = None) -> Iterator[Entry]:
    """Path, type and default of every entry, as the document spells them."""
    for field in struct.fields:
        at = f"{path}{field.encode_name}"
        value = _default(field) if default is None else getattr(default, field.name)
        inner = _struct(field.type)
        if inner is None:
            yield at, spelled(field.type), _shown(value)
        elif isinstance(field.type, VarTupleType):
            yield from entries(inner, f"{at}[].")
        else:
            whole = None if value is msgspec.NODEFAULT else value
            yield from entries(inner, f"{at}.", whole)


def spelled(kind: Type) -> str:
    match kind:
        case IntType():
            return f"integer, {kind.ge} to {kind.le}"
        case StrType(pattern=None):
            return "text"
        case StrType():
            return f"text like `{kind.pattern}`"
        case BoolType():
            return "boolean"
        case LiteralType():
            return " or ".join(f"`{json.dumps(value)}`" for value in kind.values)
        case VarTupleType():
            few, many = kind.min_length or 0, kind.max_length
            count = (
                "" if not few and many is None else f", {few} {f'to {many}' if many else 'or more'}"
            )
            return f"list of {spelled(kind.item_type)}{count}"
        case DictType():
            return f"table of {spelled(kind.value_type)}"
        case UnionType():
            return spelled(next(t for t in kind.types if not isinstance(t, NoneType)))
    raise AssertionError(f"{kind} has no spelling")


def _count(kind: VarTupleType) -> str:
    if not kind.min_length:
        return ""
    return f", {kind.min_length} {f'to {kind.max_length}' if kind.max_length else 'or more'}"


def _struct(kind: Type) -> StructType | None:
    inside = kind.item_type if isinstance(kind, VarTupleType) else kind
    if isinstance(inside, UnionType):
        inside = next(t for t in inside.types if not isinstance(t, NoneType))
    return inside if isinstance(inside, StructType) else None


def _default(field: msgspec.inspect.Field) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _shown(default: object) -> str:
    if default is msgspec.NODEFAULT:
        return "required"
    return "none" if default is None else f"`{json.dumps(default)}`"


def config_entries() -> list[Entry]:
    described = msgspec.inspect.type_info(Config)
    assert isinstance(described, StructType)
    return list(entries(described))


def documented_entries() -> list[Entry]:
    return [
        (code(row["entry"]), row["type"], row["default"])
        for row in rows(DOCUMENT, "entry", "type", "default")
    ]


def test_every_entry_stands_there_with_its_type_and_default() -> None:
    assert sorted(documented_entries()) == sorted(config_entries())


def test_every_entry_says_what_it_means() -> None:
    for row in rows(DOCUMENT, "entry", "type", "default"):
        assert len(row["meaning"]) > 10, row


def test_the_whole_configuration_is_one() -> None:
    config = parse_config(blocks(DOCUMENT, "toml")[0])
    assert config.tpm2.tcti == "device:/dev/tpmrm0"
    assert not config.development
    assert config.server.http.tls is not None
    assert config.subject_issuers and config.audiences and config.authorization.operators


def test_a_whole_configuration_without_https_is_none() -> None:
    text = blocks(DOCUMENT, "toml")[0]
    with pytest.raises(ConfigurationError, match="issuer: expected an https URL"):
        parse_config(text.replace('issuer = "https://issuer.example"', 'issuer = "http://x"', 1))


def test_the_appraisal_policy_is_one(tmp_path: Path) -> None:
    (text,) = blocks(DOCUMENT, "toml")[1:]
    (tmp_path / "anchors").mkdir()
    TestAuthority(tmp_path / "anchors" / "vendors", name="root")
    policy = parse_policy(text, folder=tmp_path)
    assert policy.tpm2 is not None
    assert policy.tpm2.allowed_anchor_classes == {AnchorClass.TPM}
    assert policy.tpm2.event_log.secure_boot_required
    assert policy.tpm2.require_key_policy is not None


def test_the_delegation_policy_is_one() -> None:
    (text,) = blocks(DOCUMENT, "cedar")
    policy = DelegationPolicy.parse(text)
    assert {rule.permits for rule in policy.rules.values()} == {True, False}
    assert any(rule.grant_ttl_s for rule in policy.rules.values())
    assert any(rule.max_lifetime_s for rule in policy.rules.values())
    for action in PolicyAction:
        assert f'Action::"{action}"' in text


def test_the_schema_is_the_one_that_policies_are_checked_against() -> None:
    assert blocks(DOCUMENT, "cedarschema") == [SCHEMA]


def test_every_action_and_annotation_has_a_row() -> None:
    assert [code(row["action"]) for row in rows(DOCUMENT, "action")] == [*PolicyAction]
    documented = [code(row["annotation"]).split("(")[0] for row in rows(DOCUMENT, "annotation")]
    assert sorted(documented) == sorted(f"@{name}" for name in policy_form._ANNOTATIONS)


def test_the_bounds_of_annotations_are_the_parsers() -> None:
    told = " ".join(row["meaning"] for row in rows(DOCUMENT, "annotation"))
    assert f"at most {MAX_TOKEN_LIFETIME_S} s" in told
    assert f"at most {MAX_GRANT_TTL_S:,} s" in told


def fixed_limits() -> dict[str, float]:
    """Every number in upper case of server/limits.py."""
    names = [
        target.id
        for node in ast.parse(inspect.getsource(limits)).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id.isupper()
    ]
    return {name: float(getattr(limits, name)) for name in names}


def test_every_fixed_limit_of_the_doors_has_a_row() -> None:
    told = {code(row["limit"]): row["value"].replace(",", "") for row in rows(DOCUMENT, "limit")}
    assert {name: float(value) for name, value in told.items()} == fixed_limits()


def test_limits_that_are_set_have_the_defaults_of_the_doors() -> None:
    told = {
        at.removeprefix("limits."): int(codes(default)[0])
        for at, _, default in documented_entries()
        if at.startswith("limits.")
    }
    # What a batch may hold is the verifier's limit and no door's.
    assert told.pop("batch_items") == MAX_BATCH
    assert told == {name: getattr(limits.Limits(), name) for name in limits.Limits.__slots__}
