"""Settings of the classifier."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fenliu.chassis.settings import ServiceSettings


class ClassifierSettings(ServiceSettings):
    """Environment: FENLIU_CLASSIFIER_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="FENLIU_CLASSIFIER_", protected_namespaces=())

    model_directory: str = Field(
        "", description="Directory with <version>.npz, <version>.json and current.json. Empty: the shipped model."
    )
    model_version: str = Field(
        "", description="Model to use, such as 2026-11-21.1. Empty: the one that current.json names."
    )
