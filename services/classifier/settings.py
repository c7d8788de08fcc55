"""Settings of the classifier."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fenliu.chassis.settings import ServiceSettings


class ClassifierSettings(ServiceSettings):
    """Environment: FENLIU_CLASSIFIER_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="FENLIU_CLASSIFIER_", protected_namespaces=())

    model_directory: str = Field(
        "",
        description="Folder of models: <version>.npz, <version>.json and current.json, which `fenliu classifier "
        "promote` writes. Empty: the model that ships with the program.",
    )
    model_version: str = Field(
        "", description="Version to use whatever current.json says, such as 2026-11-21.1. Empty: follow current.json."
    )
    model_poll_s: float = Field(2, gt=0, description="Seconds between two looks at current.json.")
