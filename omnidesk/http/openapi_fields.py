"""How fields and the ids in paths are documented, so that generated clients are right."""

import json
from typing import Any

from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask_smorest.spec.plugins import FlaskPlugin
from marshmallow import fields
from werkzeug.routing import Rule

from omnidesk.http.fields import EnumField
from omnidesk.http.related import related_of


def describe_default(
    _: OpenAPIConverter, _field: fields.Field[Any], *, ret: dict[str, Any]
) -> dict[str, Any]:
    """Say in the description what a field is if it is left out.

    Generators of clients take a field with a `default` for one that is always there.
    """
    if "default" not in ret:
        return {}
    return {"description": f"{ret['description']} (default: {json.dumps(ret.pop('default'))})"}


def name_enum(
    converter: OpenAPIConverter, field: fields.Field[Any], *, ret: dict[str, Any]
) -> dict[str, Any]:
    """Refer to a component with the values of an enum, so that all its uses are one type."""
    if not isinstance(field, EnumField):
        return {}
    components = converter.spec.components
    kind = {name: ret.pop(name) for name in ("type", "enum")}
    if field.component not in components.schemas:
        components.schema(field.component, kind)
    reference = components.get_ref("schema", field.component)
    return {"allOf": [reference]} if ret else reference


def refer_plainly(
    _: OpenAPIConverter, _field: fields.Field[Any], *, ret: dict[str, Any]
) -> dict[str, Any]:
    """Refer to an enum without `allOf` in a parameter, where nothing else stands beside it."""
    return {"schema": ret["schema"]["allOf"][0]} if "allOf" in ret["schema"] else {}


class Converter(OpenAPIConverter):
    """Describes schemas as apispec does, and the related rows that they can show."""

    def schema2jsonschema(self, schema: Any) -> dict[str, Any]:
        """Return a schema, with a property for each related row, which is not always there."""
        described: dict[str, Any] = super().schema2jsonschema(schema)  # type: ignore[no-untyped-call]
        for name, related in related_of(schema).items():
            field = self.field2property(related.field())
            field["description"] += f". Only where `include` has `{name}`"
            described["properties"][name] = field
        return described


class SchemaPlugin(MarshmallowPlugin):
    """Describes schemas by the converter above."""

    Converter = Converter


def add_functions(converter: OpenAPIConverter) -> None:
    """Document all fields and parameters by the functions above."""
    for function in (describe_default, name_enum):
        converter.add_attribute_function(function)  # type: ignore[no-untyped-call] # it has none
    converter.add_parameter_attribute_function(refer_plainly)


class PathPlugin(FlaskPlugin):  # type: ignore[misc]
    """Describes the ids in paths by their names."""

    def rule_to_params(self, rule: Rule) -> list[dict[str, Any]]:
        """Return the parameters of a path."""
        found: list[dict[str, Any]] = super().rule_to_params(rule)
        for parameter in found:
            entity, is_id, _ = parameter["name"].rpartition("_id")
            if is_id:
                parameter["description"] = f"The id of the {entity}"
        return found
