"""A server on 127.0.0.1 that gives out a folder, as plain files and as Hugging Face's hub would."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0" * 40


class Files(http.server.SimpleHTTPRequestHandler):
    """Plain files; and the three addresses of the hub that its client asks a data set for: what is there, and a file.

    `/api/datasets/<owner>/<name>` and `/datasets/<owner>/<name>/resolve/<revision>/<path>`, as huggingface_hub's client
    calls them. A repository is the folder `<owner>/<name>`.
    """

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if not asked.path.startswith("/api/datasets"):
            return super().do_GET()
        parts = unquote(asked.path).split("/")[3:]
        if not parts:  # what an owner has
            owner = parse_qs(asked.query)["author"][0]
            answer = [{"id": f"{owner}/{path.name}"} for path in (Path(self.directory) / owner).iterdir()]
        else:
            root = Path(self.directory, *parts[:2])
            files = [file for file in sorted(root.rglob("*")) if file.is_file()]
            names = [str(file.relative_to(root)) for file in files]
            answer = {"id": "/".join(parts[:2]), "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
            if parts[2:3] == ["tree"]:
                pairs = zip(names, files, strict=True)
                answer = [
                    {"type": "file", "path": it, "size": file.stat().st_size, "oid": COMMIT} for it, file in pairs
                ]
            if not files:
                return self.send_error(404)
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def translate_path(self, path: str) -> str:
        path = unquote(urlsplit(path).path)
        if path.startswith("/datasets/") and "/resolve/" in path:
            repository, file = path.removeprefix("/datasets/").split("/resolve/")
            path = f"/{repository}/{file.split('/', 1)[1]}"
        return super().translate_path(path)

    def send_error(self, code: int, *more) -> None:
        self.missing = code == 404 and "/resolve/" in self.path
        super().send_error(code, *more)

    def end_headers(self) -> None:
        if getattr(self, "missing", False):
            self.send_header("X-Error-Code", "EntryNotFound")
            self.missing = False
        file = Path(self.translate_path(self.path))
        if file.is_file():
            self.send_header("ETag", f'"{hashlib.sha1(file.read_bytes()).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
        super().end_headers()

    def log_message(self, *_) -> None:
        """Nothing: the scripts print one line."""


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Give out a folder while the block runs, and point Hugging Face's client at it; yields the address.

    The client reads `HF_ENDPOINT` when it is imported: nothing of Hugging Face may be imported before.
    """
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    os.environ |= {"HF_ENDPOINT": address, "HF_HOME": str(folder / "hub"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
