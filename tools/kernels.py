"""The kernels of the JupyterLab that `make lab` starts: for this machine only, and each with a key."""

from __future__ import annotations

from jupyter_client.session import Session, new_id_bytes
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager, ServerKernelManager
from traitlets import CaselessStrEnum, DottedObjectName, Unicode


class LocalKernel(ServerKernelManager):
    """Whoever can send a kernel messages runs code as its owner: so nobody else can, without the key not even here.

    What is declared anew here is no longer a setting, under whatever class's name it is set.

    Source: https://jupyter-client.readthedocs.io/en/stable/kernels.html#connection-files
    """

    ip = Unicode("127.0.0.1")
    transport = CaselessStrEnum(["tcp"], default_value="tcp")

    def _session_default(self) -> Session:
        session = Session(parent=self)
        session.key = new_id_bytes()
        return session


class LocalKernels(AsyncMappingKernelManager):
    """All kernels of the server."""

    kernel_manager_class = DottedObjectName("tools.kernels.LocalKernel")

    def _kernel_manager_class_default(self) -> str:
        return "tools.kernels.LocalKernel"
