"""Figures for Prometheus beside BentoML's own (requests by route and status, their duration), under ``/metrics``."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

QUEUE_REQUESTS = Gauge("policytag_queue_requests", "Requests that wait or are computed", multiprocess_mode="mostrecent")
QUEUE_TOKENS = Gauge("policytag_queue_tokens", "Their tokens, estimated from above", multiprocess_mode="mostrecent")
BATCH_TOKENS = Histogram(
    "policytag_batch_tokens", "Tokens of a batch, padding left out", buckets=(64, 128, 256, 512, 1024, 1536, 2048, 4096)
)
PARAGRAPHS = Counter("policytag_paragraphs", "Paragraphs tagged")
RELOADS = Counter("policytag_model_reloads", "Models loaded in the place of another", ["outcome"])
