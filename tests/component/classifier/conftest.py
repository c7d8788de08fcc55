"""The shipped model, loaded once."""

import pytest

from services.classifier.model.directory import load
from services.classifier.model.predict import Predictor


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    return load()
