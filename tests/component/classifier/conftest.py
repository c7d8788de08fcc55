"""The shipped model, loaded once."""

import pytest

from services.classifier.model.predict import Predictor, load_predictor


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    return load_predictor()
