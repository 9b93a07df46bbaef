"""A request to Clari: who asks for what."""

from typing import NamedTuple, Optional

from .http_server import Request

BASE_PATH = "/v4"


class Visit(NamedTuple):
    """`path` is without the base path (whole, if it is outside); `owner` is None for an unknown key."""

    request: Request
    path: str
    inside: bool
    key: Optional[str]
    owner: Optional[dict]

    @property
    def job_id(self):
        """The job that the request is about, None if it is about none."""
        parts = self.path.split("/")
        return parts[3] if self.path.startswith("/export/jobs/") else None


def visit_of(request, keys):
    inside = request.path.startswith(BASE_PATH + "/")
    path = request.path[len(BASE_PATH):] if inside else request.path
    key = request.headers.get("apikey")
    return Visit(request, path, inside, key, keys.get(key))
