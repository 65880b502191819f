"""Who may use the JupyterLab that `make lab` starts: whoever has its token, whatever this user's settings say."""

from __future__ import annotations

import secrets

from jupyter_server.auth.identity import PasswordIdentityProvider
from traitlets import default, validate


class FreshToken(PasswordIdentityProvider):
    """A new token at each start.

    A server without a token lets every user and every web page of this machine run code as its owner. Jupyter's
    settings can switch the token off, in several places; and on the command line, where it could be switched on again,
    everybody on the machine can read it.

    Source: https://jupyter-server.readthedocs.io/en/latest/operators/security.html
    """

    @default("token")
    def _new(self) -> str:
        return secrets.token_hex(24)

    @validate("token")
    def _not_from_the_settings(self, proposal: dict) -> str:
        return self._new()
