"""The model: features, weights, prediction, training."""
