"""Makes `create_deep_agent(model="sunra:vendor/model")` work, without a line of code.

deepagents calls `register_profile`, by the entry point `deepagents.provider_profiles`, when it
resolves the first model name of the process. The name may be another provider's, so `ChatSunra` is
imported later, by the hook that runs before a Sunra model is created. Errors are raised there too:
an error in an entry point becomes a warning (deepagents 0.7.32).
"""

__all__ = ["register_profile"]


def register_profile() -> None:
    """Register the provider `sunra`, by deepagents' public API."""
    from deepagents import ProviderProfile, register_provider_profile  # noqa: PLC0415 - see above

    register_provider_profile("sunra", ProviderProfile(pre_init=_before_init_chat_model))


def _before_init_chat_model(_spec: str) -> None:
    from sunra_integrations.langchain import register  # noqa: PLC0415 - see above

    register()
