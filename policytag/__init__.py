"""The shared core: text, taxonomy, encoding, artifact, engine, tagger. Knows neither HTTP nor training."""

__version__ = "0.1.0"
