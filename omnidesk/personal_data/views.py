"""The routes of all that is stored of a client."""

from os import SEEK_END
from typing import IO, Any

from flask import Response, current_app
from werkzeug.wsgi import FileWrapper

from omnidesk.clients.models import CLIENT_EXISTS
from omnidesk.http import Blueprint
from omnidesk.http.errors import http_error
from omnidesk.personal_data.deleted import erase_deleted
from omnidesk.personal_data.erasing import Erasure, count_all, find
from omnidesk.personal_data.exporting import export
from omnidesk.personal_data.schemas import ErasureRequest, ErasureSchema

NDJSON = "application/x-ndjson"
FILE_NAME = {
    "Content-Disposition": {
        "description": "The name of the file (RFC 6266)",
        "schema": {"type": "string"},
        "example": 'attachment; filename="client-55.ndjson"',
    }
}
EXAMPLE = '{"entity":"client","row":{"client_id":55,"full_name":"Ada Lovelace"}}\n'
READ_ALL = ("tickets:read", "comments:read", "events:read", "conversations:read", "changes:read")

blp = Blueprint("personal_data", description="All that is stored of a client")


@blp.post("/clients/<id(example=57):client_id>/erase")
@blp.scope("clients:write", shows="clients")
@blp.admin_only
@blp.arguments(ErasureRequest)
@blp.response(200, ErasureSchema)
@blp.alt_response(409, "CONFLICT")
def erase_client(data: dict[str, Any], client_id: int) -> dict[str, Any]:
    """Erase what is known of a client, as an admin"""
    client = find(client_id, data["full_name"])
    if client is None:
        deleted = erase_deleted(client_id, data["full_name"], dry_run=data["dry_run"])
        if deleted is None:
            raise http_error(404)
        finished, rows = deleted
        return {"client_id": client_id, "finished": finished, "rows": rows}
    if data["dry_run"]:
        rows = count_all(client, keep_comments=data["keep_comments"])
        return {"client_id": client_id, "finished": not any(rows.values()), "rows": rows}
    erasure = Erasure(client, keep_comments=data["keep_comments"])
    finished = erasure.run()
    return {"client_id": client_id, "finished": finished, "rows": erasure.counts}


@blp.get("/clients/<id(example=55):client_id>/export")
@blp.scope("clients:read", *READ_ALL)
@blp.admin_only
@blp.response(200, {"type": "string"}, content_type=NDJSON, example=EXAMPLE, headers=FILE_NAME)
def export_client(client_id: int) -> Response:
    """Show all that is stored of a client, as lines of JSON, as an admin"""
    if not CLIENT_EXISTS.fetch(client_id=client_id):
        raise http_error(404)
    return attachment(f"client-{client_id}.ndjson", export(client_id))


def attachment(name: str, file: IO[bytes]) -> Response:
    """Return the response that sends a file from its beginning, by this name."""
    size = file.seek(0, SEEK_END)
    file.seek(0)
    response = current_app.response_class(FileWrapper(file), content_type=NDJSON)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.content_length = size
    return response
