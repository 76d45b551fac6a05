"""What all commands of one run share: the terminal, and how the gateway is reached."""

from __future__ import annotations

from dataclasses import dataclass, field

from sunra_integrations.cli.terminal import Terminal
from sunra_integrations.transport import Settings


@dataclass
class Session:
    """One run of the command line."""

    terminal: Terminal = field(default_factory=Terminal)
    debug: bool = False
    """Whether errors come with their traceback."""
    allow_http: bool = False
    """Whether the base URL may be plain http to another machine."""

    def settings(self, base_url: str | None, timeout: float | None) -> Settings:
        """The settings of the environment and these options; the key is hidden from here on.

        Raises:
            ConfigurationError: There is no usable key or base URL.
        """
        settings = Settings.resolve(base_url=base_url, timeout=timeout, allow_http=self.allow_http)
        self.terminal.hide(settings.api_key)
        return settings
