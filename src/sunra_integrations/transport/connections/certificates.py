"""The trusted root certificates."""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sunra_integrations.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

_logger = logging.getLogger("sunra_integrations")

_FILE, _FOLDER = "SSL_CERT_FILE", "SSL_CERT_DIR"


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """The TLS context of this process. It is cached, because reading certificates takes a while.

    It trusts the system's certificates and certifi's. If `SSL_CERT_FILE` or `SSL_CERT_DIR` is set,
    it trusts only the certificates that these name.

    Raises:
        ConfigurationError: `SSL_CERT_FILE` or `SSL_CERT_DIR` is invalid.
    """
    import ssl  # noqa: PLC0415 - Pyodide may lack ssl and certifi

    import certifi  # noqa: PLC0415

    file, folder = os.environ.get(_FILE), os.environ.get(_FOLDER)
    # OpenSSL takes several folders, and ignores missing ones.
    if folder and not any(Path(one).is_dir() for one in folder.split(os.pathsep) if one):
        raise _unusable(_FOLDER, folder, "the folder does not exist")
    if file or folder:
        try:
            return ssl.create_default_context(cafile=file or None, capath=folder or None)
        except (OSError, ValueError) as error:  # SSLError, for a file without certificates, too
            why = getattr(error, "strerror", None) or str(error)
            raise _unusable(_FILE, file or "", why) from error
    try:
        context = ssl.create_default_context()
    except ssl.SSLError as error:  # one malformed certificate in Windows' store is enough
        _logger.warning("Sunra: the system's root certificates cannot be read: %s", error)
        return ssl.create_default_context(cafile=certifi.where())
    context.load_verify_locations(cafile=certifi.where())
    return context


def _unusable(variable: str, path: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{variable} is {path!r}, which cannot be used: {why}. Set it to certificates in PEM "
        "format, or unset it to trust the system's and certifi's certificates."
    )
