"""``python -m bench``: all of it, and the table and plot of it."""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from bench import contenders, gemm, growth, report, servers
from bench.timing import in_turns
from policytag.artifact import DEFAULT_MODEL
from policytag.engine import processors
from policytag.tagger import Tagger

log = logging.getLogger("bench")
TEXTS = [Path("labels/annotations/authored.jsonl"), Path("labels/annotations/seed_corpus.jsonl")]
SLOW = {"transformers": 5, "12 x 768": 40, "infinity-emb": 5, "LitServe": 5}
"""By how much fewer texts the slow ones get, by the beginning of their name; rates are a second, ratios stay right."""


def main() -> None:
    """Runs what the arguments ask for."""
    args = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    torch.set_num_threads(args.threads)
    texts = _texts(args.texts, args.count)
    with tempfile.TemporaryDirectory() as scratch:
        result = _measure(args, texts, Path(scratch))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "results.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    table = report.write(result, args.out)
    print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="How fast policytag is, beside others.")
    add = parser.add_argument
    add("--model", type=Path, default=Path(DEFAULT_MODEL), help="model folder [%(default)s]")
    add("--texts", type=Path, nargs="+", default=TEXTS, help="JSONL with 'text' [the authored and sample paragraphs]")
    add("--count", type=int, default=2000, help="paragraphs; the texts are repeated to it [%(default)s]")
    add("--rounds", type=int, default=5)
    add("--threads", type=int, default=processors())
    add("--others", type=Path, help="Python of an environment with bench/requirements-servers.txt")
    add("--quick", action="store_true", help="200 paragraphs, 2 rounds")
    add("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    if args.quick:
        args.count, args.rounds = 200, 2
    return args


def _texts(files: Sequence[Path], count: int) -> list[str]:
    rows = [json.loads(line)["text"] for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return (rows * (1 + count // len(rows)))[:count]


def _measure(args: argparse.Namespace, texts: list[str], scratch: Path) -> dict[str, Any]:
    config = json.loads((args.model / "config.json").read_text(encoding="utf-8"))
    plain, _ = files = contenders.plain_onnx(args.model, scratch)
    windows = [len(window) for window in Tagger.load(args.model).encoder.windows(texts)[0]]
    result: dict[str, Any] = {
        "paragraphs": len(texts), "characters": sum(map(len, texts)) / len(texts), "tokens": sum(windows) / len(texts),
        "threads": args.threads, "rounds": args.rounds, "missing": {},
        "operations": {
            "network": gemm.operations(config, windows, cls_only=False) / len(texts),
            "computed": gemm.operations(config, windows, cls_only=True) / len(texts),
        },
    }  # fmt: skip
    result["gemm"] = gemm.rates(config, args.threads, args.rounds)
    with ExitStack() as stack:
        actions, counts = _actions(args, texts, files, scratch, stack, result["missing"])
        timings = in_turns(actions, args.rounds)
    result["rates"] = {name: timings[name].rates(counts[name]) for name in actions}
    result["alone_ms"] = growth.alone(args.model, plain, args.threads, 20 * args.rounds)
    result["lengths"] = growth.lengths(args.model, texts, args.threads, args.rounds)
    result["cores"] = growth.cores(args.model, texts, args.rounds)
    result["service"] = growth.service(args.model, texts, args.threads)
    # Once more at the end: the limit of a machine that others use too is not the same all the time.
    again = gemm.rates(config, args.threads, args.rounds)
    result["gemm"] = {name: max(rate, again[name]) for name, rate in result["gemm"].items()}
    return result


def _actions(
    args: argparse.Namespace, texts: list[str], plain: tuple[Path, Path], scratch: Path, stack: ExitStack,
    missing: dict[str, str],
) -> tuple[dict[str, Callable[[], object]], dict[str, int]]:  # fmt: skip
    """What can be run here, with how many texts; what cannot goes to ``missing`` with the reason."""
    model, threads = args.model, args.threads
    made: dict[str, Callable[[], Callable[[Sequence[str]], object]]] = {
        f"policytag {form}, in process": lambda form=form: contenders.ours(model, threads, form)
        for form in Tagger.load(model).artifact.graphs
    }
    made["policytag, HTTP"] = lambda: _asking(stack.enter_context(servers.ours(model, threads))[0])
    made["ONNX Runtime fp32"] = lambda: contenders.onnx(plain[0], model, threads)
    made["ONNX Runtime int8 (dynamic)"] = lambda: contenders.onnx(plain[1], model, threads)
    for precision in ("f32", "bf16"):
        made[f"OpenVINO {precision}"] = lambda p=precision: contenders.openvino(plain[0], model, threads, p)
    for size in contenders.PIPELINE_BATCHES:
        made[f"transformers pipeline, batches of {size}"] = lambda size=size: contenders.pipeline(model, size)
    made["12 x 768 character BERT, torch"] = lambda: contenders.large_bert(model)
    for name, server in (("infinity-emb, HTTP", servers.infinity), ("LitServe, HTTP", servers.litserve)):
        made[name] = lambda server=server: _asking(stack.enter_context(server(model, _others(args.others))))
    actions: dict[str, Callable[[], object]] = {}
    counts: dict[str, int] = {}
    for name, make in made.items():
        share = next((n for start, n in SLOW.items() if name.startswith(start)), 1)
        given = texts[::share] if share > 1 else texts
        try:
            run = make()
            run(given[:4])
        except Exception as error:  # whatever another project's code raises
            missing[name] = str(error).strip().splitlines()[-1][:200] if str(error).strip() else repr(error)
            log.warning("%s: left out (%s)", name, missing[name])
            continue
        actions[name], counts[name] = (lambda run=run, given=given: run(given)), len(given)
    actions["policytag, command line"] = servers.command_line(model, texts, scratch, threads)
    counts["policytag, command line"] = len(texts)
    return actions, counts


def _asking(post: servers.Post) -> Callable[[Sequence[str]], object]:
    return lambda texts: servers.ask(post, texts)


def _others(python: Path | None) -> Path:
    if python is None:
        raise ValueError("not measured: no --others was given")
    return python


if __name__ == "__main__":
    main()
