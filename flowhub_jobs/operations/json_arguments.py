"""Arguments of an operation as programs send them: named JSON values, each with its JSON Schema."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flowhub_jobs.errors import UsageInvalid

Schema = Mapping[str, Any]  # JSON Schema

TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": TEXT}
NUMBER: Schema = {"type": "integer"}
NUMBERS: Schema = {"type": "array", "items": NUMBER}
SWITCH: Schema = {"type": "boolean"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
TEXT_OR_NUMBER: Schema = {"type": ["string", "integer", "null"]}

_TYPES = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}
_WORDS = {
    "string": "a string",
    "integer": "an integer",
    "boolean": "a boolean",
    "array": "an array",
    "object": "an object",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A named value. `option` is that of the verb, whose help describes it. An `ignored` value is accepted."""

    name: str
    schema: Schema
    option: str | None = None
    help: str = ""
    required: bool = False
    ignored: bool = False


def object_schema(fields: Iterable[Field], help_of: Callable[[Field], str]) -> dict[str, Any]:
    """Return the JSON Schema of an object with these keys and no others."""
    field_list = list(fields)
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {field.name: {**field.schema, "description": help_of(field)} for field in field_list},
        "additionalProperties": False,
    }
    required = [field.name for field in field_list if field.required]
    return schema | ({"required": required} if required else {})


def check_arguments(data: Mapping[str, Any], fields: Iterable[Field]) -> None:
    """Raise UsageInvalid, which names the key, for an unknown key, a value of another type, or a missing key."""
    by_name = {field.name: field for field in fields}
    for name, value in data.items():
        if name not in by_name:
            keys = ", ".join(by_name) or "none"
            raise UsageInvalid(f"{name[:40]!r} is not a key of this object.", hint=f"Keys are: {keys}.")
        _check(name, value, by_name[name].schema)
    for one in by_name.values():
        if one.required and one.name not in data:
            raise UsageInvalid(f"The object has no {one.name}.", hint=f"Send it as {_type_names(one.schema)}.")


def _check(name: str, value: Any, schema: Schema) -> None:
    if "type" not in schema:  # any value
        return
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if type(value) not in [_TYPES[one] for one in types]:  # a bool is no int
        raise UsageInvalid(f"{name!r} must be {_type_names(schema)}.")
    if value not in schema.get("enum", [value]):
        raise UsageInvalid(f"{name} is {str(value)[:40]!r}.", hint=f"It may be: {', '.join(schema['enum'])}.")
    if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        raise UsageInvalid(f"{name} is {value}.", hint=f"Send {schema['minimum']} to {schema['maximum']}.")
    if isinstance(value, dict) and "properties" in schema:
        _check_object(name, value, schema)
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            raise UsageInvalid(f"{name!r} is an empty array.")
        for at, item in enumerate(value if "items" in schema else ()):
            _check(f"{name}[{at}]", item, schema["items"])


def _check_object(name: str, value: Mapping[str, Any], schema: Schema) -> None:
    properties = schema["properties"]
    for key, one in value.items():
        if key not in properties:
            raise UsageInvalid(f"{name} has the key {key[:40]!r}.", hint=f"Keys are: {', '.join(properties)}.")
        _check(f"{name}: {key}", one, properties[key])
    for key in schema.get("required", ()):
        if key not in value:
            raise UsageInvalid(f"{name} has no {key}.", hint=f"Send it as {_type_names(properties[key])}.")


def _type_names(schema: Schema) -> str:
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(_WORDS[one] for one in types if one in _WORDS)
