"""A Hugging Face Hub on 127.0.0.1: the few calls that loading and uploading a model make."""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

USER = "tester"
TOKEN = "hf_secretsecretsecret"
_RESOLVE = re.compile(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)")
_API = re.compile(r"/api/models/([\w.-]+/[\w.-]+)/(preupload|commit)/([^/]+)")


@dataclass
class Repository:
    """One model: its commits, oldest first, each a whole set of files."""

    is_private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        before = list(self.commits.values())[-1] if self.commits else {}
        name = hashlib.sha1(repr((len(self.commits), files)).encode()).hexdigest()
        self.commits[name] = before | files
        return name

    def find(self, revision: str) -> str | None:
        if revision == "main":
            return list(self.commits)[-1] if self.commits else None
        return revision if revision in self.commits else None


class FakeHub:
    """The server's state: what tests put in, and what they look at."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        self.headers: dict[str, str] = {}
        self.length_shown: dict[str, int] = {}
        # Status and body of every answer from then on; the token that was sent is repeated in a header.
        self.broken: tuple[int, bytes] | None = None
        self.refuses_uploads = False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def add(self, name: str, files: dict[str, bytes], *, is_private: bool = False) -> str:
        """Put a commit into a repository."""
        repository = self.repositories.setdefault(name, Repository(is_private))
        return repository.commit(files)

    def files(self, name: str) -> dict[str, bytes]:
        """The newest files of a repository."""
        return list(self.repositories[name].commits.values())[-1]

    def asked_for(self) -> set[str]:
        """Names of the files that were asked for."""
        return {found[3] for _, path in self.requests if (found := _RESOLVE.fullmatch(path))}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A fake Hub that huggingface_hub takes for the real one, with an empty cache and nobody logged in."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs the extra hub")
    fake = FakeHub()
    monkeypatch.setattr(constants, "ENDPOINT", fake.endpoint)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", fake.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub_cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield fake
    fake.close()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._resolve(with_body=False)

        def do_GET(self) -> None:
            self._resolve(with_body=True)

        def do_POST(self) -> None:
            path = self._note()
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if path == "/api/validate-yaml":
                return self._json({"errors": [], "warnings": []})
            if hub.refuses_uploads or self._token() != TOKEN:
                return self._json({"error": "Invalid username or password."}, 401)
            if path == "/api/repos/create":
                return self._create(json.loads(body))
            found = _API.fullmatch(path)
            if found is None or found[1] not in hub.repositories:
                return self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            if found[2] == "preupload":
                files = [
                    {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                    for file in json.loads(body)["files"]
                ]
                return self._json({"files": files})
            return self._commit(found[1], body)

        def _create(self, wanted: dict[str, Any]) -> None:
            name = f"{wanted.get('organization') or USER}/{wanted['name']}"
            if name in hub.repositories:
                return self._json(
                    {"error": "You already created this model repo", "url": f"{hub.endpoint}/{name}"}, 409
                )
            hub.repositories[name] = Repository(wanted.get("visibility") == "private" or bool(wanted.get("private")))
            return self._json({"url": f"{hub.endpoint}/{name}", "name": name})

        def _commit(self, name: str, body: bytes) -> None:
            lines = [json.loads(line) for line in body.splitlines()]
            files = {
                line["value"]["path"]: base64.b64decode(line["value"]["content"])
                for line in lines
                if line["key"] == "file"
            }
            commit = hub.repositories[name].commit(files)
            self._json({"commitUrl": f"{hub.endpoint}/{name}/commit/{commit}", "commitOid": commit, "success": True})

        def _resolve(self, with_body: bool) -> None:
            found = _RESOLVE.fullmatch(self._note())
            repository = hub.repositories.get(found[1]) if found else None
            if found is None or repository is None or (repository.is_private and self._token() != TOKEN):
                return self._json({"error": "Repository not found"}, 401, {"X-Error-Code": "RepoNotFound"})
            commit = repository.find(found[2])
            if commit is None:
                return self._json({"error": "Revision not found"}, 404, {"X-Error-Code": "RevisionNotFound"})
            content = repository.commits[commit].get(found[3])
            if content is None:
                headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}
                return self._json({"error": "Entry not found"}, 404, headers)
            headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'} | hub.headers
            return self._send(200, content if with_body else b"", headers, hub.length_shown.get(found[3], len(content)))

        def _note(self) -> str:
            path = self.path.partition("?")[0]
            hub.requests.append((self.command, path))
            if token := self._token():
                hub.tokens.add(token)
            return path

        def _token(self) -> str:
            return self.headers.get("Authorization", "").removeprefix("Bearer ")

        def _json(self, document: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
            content = json.dumps(document).encode()
            self._send(status, b"" if self.command == "HEAD" else content, headers or {}, len(content))

        def _send(self, status: int, content: bytes, headers: dict[str, str], length: int) -> None:
            if hub.broken is not None:
                status, content = hub.broken
                length, headers = len(content), {"X-Error-Message": f"bad token {self._token()}"}
            self.send_response(status)
            for name, value in ({"Content-Type": "application/json"} | headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            """Keep the tests' output clean."""

    return Handler
