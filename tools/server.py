"""The JupyterLab that `make lab` starts: few words, and at the end the address."""

from __future__ import annotations

from jupyter_server.serverapp import ServerApp
from jupyterlab.labapp import LabApp
from tornado.httputil import url_concat


class CourseServer(ServerApp):
    """Says where the course is open; Jupyter itself would say it in six lines, with two other addresses."""

    def start_app(self) -> None:
        super().start_app()
        address = url_concat(self.local_url.partition("?")[0], {"token": self.identity_provider.token})
        print("Your browser shows the course; if not, open this address. Ctrl+C twice ends it.")
        print(f"\n    {address}\n", flush=True)


def main() -> None:
    LabApp.serverapp_class = CourseServer
    LabApp.launch_instance()
