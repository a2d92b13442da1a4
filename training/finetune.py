"""One fine-tuning: an encoder and annotated texts in, a classifier out. Knows neither files of data nor thresholds.

The network is a plain ``BertForSequenceClassification`` trained by ``transformers.Trainer``; what is added is the loss
(positives weighted, soft targets allowed), batches of like length, and the windows that serving will use: a text's
logits are the largest of its windows', in training as in serving, so that its labels need not hold for each of them
(multiple-instance learning, Dietterich et al. 1997).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch.utils.data import Sampler
from transformers import BertForSequenceClassification, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_pt_utils import get_length_grouped_indices

from policytag.encoding import Encoder, pad, pool
from policytag.engine import batches
from policytag.errors import PolicytagError
from policytag.taxonomy import Taxonomy
from training import processes, resume
from training.config import Config, windows_of
from training.tokenizer import load_tokenizer, save_tokenizer

log = logging.getLogger(__name__)

MAX_UNKNOWN_SHARE = 0.2
"""Share of [UNK] tokens from which a tokenizer is taken for the wrong one."""
UNKNOWN_SAMPLE = 200
SHAPE_STEP = 8
"""Windows are padded to a multiple of so many tokens: every new shape costs the CPU kernels time and memory."""
LOT_TOKENS = 2048
"""Tokens computed at a time: a batch's windows go through the network in lots of like length, so little is padding."""
HEAD = ("classifier.weight", "classifier.bias")
MAY_BE_NEW = (*HEAD, "bert.pooler.dense.weight", "bert.pooler.dense.bias")
"""Weights that an encoder need not bring."""


class TrainingError(PolicytagError):
    """An encoder that does not fit, or a training that went astray."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a fine-tuning starts from.

    Attributes:
        model: On the CPU, float32, its head new or kept.
        encoder: The encoder's tokenizer with the recipe of the settings.
        tokenizer_folder: Holds ``tokenizer.json`` and ``tokenizer_config.json``.
        head_kept: Whether it has learnt these labels already.
    """

    model: BertForSequenceClassification
    encoder: Encoder
    tokenizer_folder: Path
    head_kept: bool = False


def prepare(source: str, taxonomy: Taxonomy, config: Config, tokenizer_folder: Path) -> Start:
    """Loads an encoder and gives it a head for the taxonomy's labels.

    Args:
        source: A folder with a ``BertModel``, or with a ``BertForSequenceClassification`` (whose head is kept if it has
            the same labels in the same order), or the name of one on the Hugging Face hub.
        tokenizer_folder: An empty folder for the tokenizer's files.

    Raises:
        TrainingError: If there is no BERT there, weights are missing, or it has fewer positions than windows need.
    """
    here = Path(source)
    if not here.exists() and (source[:1] in "./" or (len(here.parts) > 1 and Path(here.parts[0]).is_dir())):
        raise TrainingError(f"{source}: no such folder; expected a BERT encoder, or its name on the Hugging Face hub")
    transformers.set_seed(config.seed)
    transformers.logging.set_verbosity_error()  # its report on loading says what is checked here
    transformers.logging.disable_progress_bar()
    try:
        tokenizer = load_tokenizer(source)
    except ValueError as error:
        raise TrainingError(str(error)) from None
    model, head_kept = _load_model(source, taxonomy, config)
    _check_reading(source, config)
    positions = model.config.max_position_embeddings
    if positions < config.max_tokens:
        raise TrainingError(
            f"{source}: {positions} positions; expected {config.max_tokens}, set max_tokens = {positions}"
        )
    if tokenizer.get_vocab_size() > model.config.vocab_size:
        raise TrainingError(
            f"{source}: tokenizer of {tokenizer.get_vocab_size()} pieces, network of {model.config.vocab_size}; "
            "expected a tokenizer that belongs to the network"
        )
    save_tokenizer(tokenizer, tokenizer_folder, config.max_tokens)
    return Start(model, Encoder(tokenizer_folder / "tokenizer.json", config.recipe), tokenizer_folder, head_kept)


def _load_model(source: str, taxonomy: Taxonomy, config: Config) -> tuple[BertForSequenceClassification, bool]:
    """The network, and whether the head it brought was kept."""
    labels = dict(enumerate(taxonomy.ids))
    try:
        settings = transformers.AutoConfig.from_pretrained(source)
        loaded: Any = BertForSequenceClassification.from_pretrained(
            source,
            dtype=torch.float32,
            attn_implementation="sdpa" if torch.cuda.is_available() else "eager",  # sdpa's backward is slow on CPUs
            id2label=labels,
            label2id={label: column for column, label in labels.items()},
            problem_type="multi_label_classification",
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            classifier_dropout=config.dropout,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except Exception as error:  # a damaged file raises whatever the reader of its format raises
        reason = str(error).partition("\n")[0]
        raise TrainingError(f"{source}: cannot be loaded as a BERT encoder ({reason})") from None
    model, info = loaded
    mismatched = {entry[0] if isinstance(entry, tuple) else entry for entry in info["mismatched_keys"]}
    absent = set(info["missing_keys"]) | mismatched
    missing = sorted(absent - set(MAY_BE_NEW))
    if settings.model_type != "bert" or missing:
        what = f"{', '.join(missing[:3])} missing or misshapen" if missing else f"is a {settings.model_type}"
        raise TrainingError(f"{source}: {what}; expected a BertModel with all its layers")
    keep_head = getattr(settings, "id2label", None) == labels and not absent & set(HEAD)
    if not keep_head:
        torch.nn.init.normal_(model.classifier.weight, std=model.config.initializer_range)
        torch.nn.init.zeros_(model.classifier.bias)
    log.info("encoder: %d parameters, head %s", model.num_parameters(), "kept" if keep_head else "new")
    return model, keep_head


def _check_reading(source: str, config: Config) -> None:
    """Warns where the start has learnt to read otherwise: it will need many labels to learn it anew."""
    learnt = windows_of(source).get("piece_tokens", config.piece_tokens)
    if learnt != config.piece_tokens:
        log.warning("%s reads with piece_tokens = %d, the settings say %d; set piece_tokens = %d to keep what it "
                    "has learnt", source, learnt, config.piece_tokens, learnt)  # fmt: skip


def _check_unknown(encoder: Encoder, texts: Sequence[str]) -> None:
    """Refuses a tokenizer to which a sample of the texts is so unknown that it must be the wrong one.

    Raises:
        TrainingError: Naming the share of [UNK].
    """
    step = max(1, len(texts) // UNKNOWN_SAMPLE)
    tokens = [i for e in encoder.encode(list(texts[::step])) for window in e.windows for i in window[1:-1]]
    share = sum(token == encoder.unk_id for token in tokens) / max(len(tokens), 1)
    if share >= MAX_UNKNOWN_SHARE:
        raise TrainingError(
            f"tokenizer.json: {share:.0%} of the tokens are [UNK]; expected less than {MAX_UNKNOWN_SHARE:.0%}, "
            "use the tokenizer.json that belongs to the encoder"
        )


def positive_weights(targets: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """What the positives of each label count: sqrt(negatives / positives) within bounds.

    Of 100 paragraphs 4 are positive: sqrt(96 / 4) = 4.9.

    Shape: ``(n, L)`` in [0, 1] -> ``(L,) float32``.
    """
    positives = targets.sum(axis=0)
    return np.clip(np.sqrt((len(targets) - positives) / np.maximum(positives, 1)), low, high).astype(np.float32)


class _Loss:
    """Binary cross-entropy over the labels, positives weighted. Targets may be soft."""

    def __init__(self, weights: NDArray[np.float32]) -> None:
        self._weights = torch.from_numpy(weights)

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits = logits.float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, labels.float(), pos_weight=self._weights.to(logits.device)
        )
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss.item()}; lower learning_rate, set precision = 'fp32', or check the encoder"
            )
        return loss


class _Log(TrainerCallback):
    """Progress as log lines on stderr; the Trainer's own go to stdout, which belongs to results."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if logs and "loss" in logs and state.is_world_process_zero:
            log.info("step %d of %d, loss %.4f", state.global_step, state.max_steps, float(logs["loss"]))


def train(
    start: Start,
    texts: Sequence[str],
    targets: NDArray[np.float32],
    config: Config,
    *,
    work: Path | None = None,
    observers: Sequence[TrainerCallback] = (),
) -> None:
    """Fine-tunes the model in place and leaves it on the CPU, its weights rounded to what float16 holds.

    Each text is an example, whatever number of windows it has. Started by ``torchrun`` or ``accelerate launch``, the
    processes share each batch.

    Args:
        texts: ``n`` texts.
        targets: Shape ``(n, L) float32`` in [0, 1].
        work: Folder for checkpoints; a run that was killed goes on from the last one, and ends with the same weights.
        observers: Callbacks of the Trainer, such as TensorBoard's.

    Raises:
        TrainingError: If the tokenizer does not know the texts, or the loss or a weight is not finite.
    """
    _check_unknown(start.encoder, texts)
    if not config.epochs:  # a network that has learnt elsewhere
        round_weights(start.model.eval())
        return
    transformers.set_seed(config.seed)
    if config.threads:
        torch.set_num_threads(config.threads)
    dataset = _dataset(start.encoder, texts, targets)
    share = config.keep_start if start.head_kept else 0.0
    before = {name: p.detach().clone() for name, p in start.model.named_parameters()} if share else {}
    loss = _Loss(positive_weights(targets, config.positive_weight_min, config.positive_weight_max))
    with tempfile.TemporaryDirectory() as scratch:
        trainer = _Trainer(
            loss,
            model=start.model,
            args=_arguments(config, len(dataset), work or Path(scratch), keep=work is not None),
            train_dataset=dataset,
            data_collator=_Collator(start.encoder.pad_id),
            callbacks=[_Log(), resume.MarkWhole(), *observers],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        checkpoint = resume.newest(work) if work else None
        if checkpoint:
            log.info("going on from %s", checkpoint)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        # Accelerate put autocast into the model's forward; measuring and export want float32.
        trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    start.model.set_attn_implementation("eager")  # what is measured and exported, whatever it was trained with
    blend(start.model.cpu().eval(), before, share)
    round_weights(start.model)


def blend(model: torch.nn.Module, before: Mapping[str, torch.Tensor], share: float) -> None:
    """Weights = share * before + (1 - share) * trained. A weight that went from 2 to 4 is 3.5 at share 0.25."""
    if share:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.lerp_(before[name].to(parameter.device), share)


def _dataset(encoder: Encoder, texts: Sequence[str], targets: NDArray[np.float32]) -> datasets.Dataset:
    windows = [list(encoded.windows) for encoded in encoder.encode(texts)]
    log.info("training on %d paragraphs, %d windows", len(texts), sum(map(len, windows)))
    lengths = [sum(map(len, parts)) for parts in windows]
    return datasets.Dataset.from_dict({"windows": windows, "labels": targets.tolist(), "length": lengths})


class _ByLength(Sampler[int]):
    """Texts of like length in a batch, in an order that seed and epoch alone decide.

    The Trainer's own draws it from the generator that dropout uses, so that a training that is taken up in the middle
    of an epoch would see the rest of that epoch in another order.
    """

    def __init__(self, trainer: transformers.Trainer, lengths: Sequence[int]) -> None:
        self._trainer, self._lengths = trainer, list(lengths)

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        args = self._trainer.args
        epoch = int(self._trainer.state.epoch or 0)
        generator = torch.Generator().manual_seed(args.seed + epoch)
        size = args.train_batch_size * args.world_size
        return iter(get_length_grouped_indices(self._lengths, size, generator=generator))


class _Trainer(transformers.Trainer):
    def __init__(self, loss: _Loss, **given: Any) -> None:
        super().__init__(**given)
        self._loss = loss

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        dataset: Any = self.train_dataset if train_dataset is None else train_dataset
        return _ByLength(self, dataset["length"])

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        lots = [model(input_ids=ids, attention_mask=mask)["logits"] for ids, mask in inputs["lots"]]
        return self._loss(_pool(torch.cat(lots), inputs["owners"], len(inputs["labels"])), inputs["labels"])


def _lots(lengths: Sequence[int]) -> Iterator[slice]:
    """Neighbours of at most `LOT_TOKENS` tokens together, padded to the first and longest of them."""
    start = 0
    while start < len(lengths):
        stop = start + max(1, LOT_TOKENS // lengths[start])
        yield slice(start, stop)
        start = stop


def _pool(logits: torch.Tensor, owners: torch.Tensor, num_texts: int) -> torch.Tensor:
    """`policytag.encoding.pool`, with a gradient. Shape: ``(w, L)`` -> ``(n, L)``."""
    rows = owners[:, None].expand_as(logits)
    return logits.new_full((num_texts, logits.shape[1]), -torch.inf).scatter_reduce(0, rows, logits, "amax")


@dataclass(frozen=True, slots=True)
class _Collator:
    """Texts to ``lots`` of windows of like length, ids and mask ``(w, t)`` each, the ``owners`` of all windows in the
    order of the lots, and the texts' ``labels (n, L)``."""

    pad_id: int

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        found = [(owner, window) for owner, example in enumerate(examples) for window in example["windows"]]
        found.sort(key=lambda pair: len(pair[1]), reverse=True)
        return {
            "lots": [self._lot([window for _, window in found[part]]) for part in _lots([len(w) for _, w in found])],
            "owners": torch.tensor([owner for owner, _ in found]),
            "labels": torch.tensor([example["labels"] for example in examples], dtype=torch.float32),
        }

    def _lot(self, windows: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        ids, mask = pad(windows, self.pad_id)
        fill = ((0, 0), (0, -ids.shape[1] % SHAPE_STEP))
        ids, mask = np.pad(ids, fill, constant_values=self.pad_id), np.pad(mask, fill)
        return torch.from_numpy(ids), torch.from_numpy(mask)


def _arguments(config: Config, num_texts: int, folder: Path, *, keep: bool) -> TrainingArguments:
    if config.batch_size % processes.count():
        raise TrainingError(
            f"batch_size {config.batch_size} cannot be shared by {processes.count()} processes; "
            "expected a multiple of them, change either"
        )
    steps = max(1, round(config.epochs * -(-num_texts // config.batch_size)))
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=config.batch_size // processes.count(),
        learning_rate=config.learning_rate,
        warmup_steps=round(config.warmup_share * steps),
        lr_scheduler_type="linear",
        weight_decay=config.weight_decay,
        max_grad_norm=config.clip_norm,
        seed=config.seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=config.precision == "bf16",
        remove_unused_columns=False,
        save_strategy="steps" if keep else "no",
        save_steps=config.checkpoint_steps,
        save_total_limit=2,
        logging_steps=max(1, steps // 20),
        report_to="none",
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,  # would have the processes meet at each lot, of which they have different numbers
        average_tokens_across_devices=False,  # would multiply a loss that is a mean already by the processes
    )


def round_weights(model: torch.nn.Module) -> None:
    """Rounds weights to float16 and back, so that every stored form of the model holds the same numbers.

    Raises:
        TrainingError: If a weight is not finite, or too large for float16.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(parameter.half().float())
            if not torch.isfinite(parameter).all():
                raise TrainingError(f"weight {name} is not finite in float16; lower learning_rate or check the encoder")


def predict(start: Start, texts: Sequence[str]) -> NDArray[np.float32]:
    """Logits in float32 on the CPU, pooled over windows as in serving. Shape: ``(n, L) float32``."""
    windows, owners, _ = start.encoder.windows(texts)
    rows = np.empty((len(windows), start.model.classifier.out_features), dtype=np.float32)
    start.model.eval()
    with torch.inference_mode():
        for batch in batches([len(window) for window in windows], max_tokens=8192):
            ids, mask = map(torch.from_numpy, pad([windows[row] for row in batch], start.encoder.pad_id))
            rows[batch] = start.model(input_ids=ids, attention_mask=mask).logits.numpy()
    return pool(rows, owners, len(texts))
