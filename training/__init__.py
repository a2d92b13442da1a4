"""The retraining pipeline: annotated paragraphs in, model folders out. Serving never imports it."""
