"""What a node says, and how one that is not known is refused."""

from typing import Any

from onnx import helper

from ..._files import shown


def attributes(node: Any) -> dict[str, Any]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def unknown_use(node: Any, what: str) -> ValueError:
    where = f" {shown(node.name, 80)!r}" if node.name else ""
    return ValueError(f"{shown(node.op_type, 40)}{where} is not known here with {what}")
