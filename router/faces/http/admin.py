"""What operators may do over HTTP: erase what a user wrote or received."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.json_format import MessageToDict

from router.errors import InvalidRequest
from router.faces import reports
from router.faces.bounds import Limits, read_name
from router.faces.http.api import Body
from router.faces.keys import Access
from router.json_fields import text
from router.operations import Operations

_FIELDS: Final = ("user", "namespace", "dry_run")


async def erase_user(
    body: Body, by_header: str, access: Access, operations: Operations, limits: Limits
) -> dict[str, Any]:
    """Answer a request to erase a user; fields and answer are those of ``Admin.EraseUser``.

    Args:
        body: the fields.
        by_header: the namespace, where a header names it, as it does of every request.
        access: what the caller may.
        operations: what does it.
        limits: of the settings.

    Raises:
        InvalidRequest: says which field, what was seen, what is expected.
        NotPermitted: it takes an admin.
    """
    if by_header:
        by_header = access.clears(read_name(by_header, "namespace", limits))
    unknown = [name for name in body if name not in _FIELDS]
    if unknown:
        raise InvalidRequest(f"{unknown[0][:40]} is not known here; there are {', '.join(_FIELDS)}")
    namespace = read_name(text(body.get("namespace"), "namespace"), "namespace", limits)
    if by_header and namespace not in ("", by_header):
        raise InvalidRequest("the header and the body name two namespaces; name one")
    user = read_name(text(body.get("user"), "user"), "user", limits)
    is_dry = body.get("dry_run", False)
    if not isinstance(is_dry, bool):
        raise InvalidRequest(f"dry_run is true or false, got {type(is_dry).__name__}")
    namespace = access.clears(namespace or by_header)
    done = await operations.erase_user(user, namespace, dry_run=is_dry)
    told: dict[str, Any] = MessageToDict(
        reports.erased(done),
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
    return {name: int(value) if isinstance(value, str) else value for name, value in told.items()}
