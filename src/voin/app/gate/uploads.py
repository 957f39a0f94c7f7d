"""Uploads: each in a folder of its own that nobody can guess, by the name that its owner gave it, or not at all.

In place of Gradio's own route, which changes names, and keeps what breaks off.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath
from typing import Any

from gradio.route_utils import GradioMultiPartParser
from gradio.routes import file_upload_statuses
from python_multipart.exceptions import MultipartParseError
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from voin.app.gate.limits import MOST_SETS
from voin.app.gate.sessions import new_upload_folder, short_name


def uploader(folder: Path) -> Callable[[Request], Awaitable[Response]]:
    """Make the route: it answers with the paths of the files, each in a folder below `folder`.

    How large it may be is for the guard to say.
    """

    async def upload(request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            return PlainTextResponse("this is no upload; it must be a form with a file; send it as one", 400)
        place, upload_id = new_upload_folder(folder), request.query_params.get("upload_id")
        more: dict[str, Any] = {"upload_id": upload_id, "upload_progress": file_upload_statuses} if upload_id else {}
        try:
            # No field but the files: others would be kept in memory.
            more |= {"max_files": MOST_SETS, "max_fields": 0, "max_file_size": math.inf}
            form = await GradioMultiPartParser(request.headers, request.stream(), upload_dir=place, **more).parse()
            return JSONResponse([_keep(file, new_upload_folder(folder)) for file in form.getlist("files")])
        except BaseException as error:
            if upload_id:
                file_upload_statuses.stop_tracking(upload_id)
            if not isinstance(error, MultiPartException | MultipartParseError | ClientDisconnect | OSError):
                raise
            said = error.strerror if isinstance(error, OSError) else str(error)
            have = f"this upload cannot be kept ({said or 'it broke off'})"
            return PlainTextResponse(f"{have}; it must be a form with few files; send it again", 400)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    return upload


def _keep(file: Any, place: Path) -> str:
    """Move a file into the folder `place`, by its own name."""
    file.file.close()
    # Browsers of another system may write whole paths.
    name = short_name(PurePosixPath(file.filename.replace("\\", "/")).name.replace("\0", ""))
    return str(Path(file.file.name).rename(place / name))
