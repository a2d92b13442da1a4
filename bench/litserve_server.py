"""A LitServe server of a model folder; runs in a Python of its own: litserve_server.py MODEL --port PORT."""

from __future__ import annotations

import sys
from typing import Any

import litserve  # pyright: ignore[reportMissingImports]  # in an environment of its own
import transformers


class Classify(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.classify: Any = transformers.pipeline(
            "text-classification", model=sys.argv[1], top_k=None, function_to_apply="sigmoid", device="cpu"
        )

    def decode_request(self, request: dict[str, list[str]]) -> list[str]:
        return request["texts"]

    def predict(self, texts: list[str]) -> Any:
        return self.classify(texts, truncation=True)

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"output": output}


if __name__ == "__main__":
    server = litserve.LitServer(Classify(), accelerator="cpu", timeout=120)
    server.run(host="127.0.0.1", port=int(sys.argv[3]), generate_client_file=False)
