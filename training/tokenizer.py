"""The encoder's tokenizer: training a Unigram vocabulary, loading one, writing one.

A tokenizer is always the plain `tokenizer.json` of the `tokenizers` library, which serving reads as well; nothing here
knows torch, and transformers only where a tokenizer has to be fetched by the name of a model.
"""

from __future__ import annotations

import json
import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from training.pretraining.errors import PretrainError

logger = logging.getLogger(__name__)

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_tokenizer(
    paragraphs: Iterable[str],
    *,
    vocabulary_size: int = 12_000,
    max_piece_length: int = 2,
    min_character_count: int = 2,
) -> Tokenizer:
    """Trains a Unigram tokenizer on `paragraphs`.

    Text is put into NFKC and lower case, and split at white space, around punctuation marks and between digits.
    Every character seen `min_character_count` times is a piece of its own; rarer ones become [UNK]. The library adds up
    in another order each time: two trainings on the same text differ a little in the scores, and with them in the ids.
    So a run trains its tokenizer once and keeps the file.

    Args:
        paragraphs: plain text, a sample that fits into memory: two minutes for eight million characters.
        max_piece_length: in characters; short pieces let words share what their characters mean.

    Raises:
        PretrainError: the text has too few different characters or pieces for the vocabulary.
    """
    sample = [unicodedata.normalize("NFKC", paragraph).lower() for paragraph in paragraphs]
    counts = Counter(character for text in sample for character in text if not character.isspace())
    alphabet = sorted(character for character, count in counts.items() if count >= min_character_count)
    room = vocabulary_size - len(SPECIAL_TOKENS)
    if not alphabet or len(alphabet) > room:
        raise PretrainError(
            f"tokenizer: the sample has {len(alphabet)} characters seen {min_character_count} times, expected between "
            f"1 and {room}; change vocabulary_size or min_character_count"
        )
    rare = {ord(character): " " for character, count in counts.items() if count < min_character_count}
    tokenizer = _untrained()
    trainer = trainers.UnigramTrainer(
        vocab_size=vocabulary_size, show_progress=False, special_tokens=list(SPECIAL_TOKENS), unk_token="[UNK]",
        initial_alphabet=alphabet, max_piece_length=max_piece_length,
    )  # fmt: skip
    logger.info("tokenizer: training on %d characters, %d different ones", sum(counts.values()), len(alphabet))
    tokenizer.train_from_iterator((text.translate(rare) for text in sample), trainer)
    _add_template(tokenizer)
    return tokenizer


def _untrained() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])  # type: ignore
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore
        [
            pre_tokenizers.Whitespace(),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    return tokenizer


def _add_template(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )


def load_tokenizer(source: Path | str) -> Tokenizer:
    """Loads a `tokenizer.json`, the one in a folder, or that of a Hugging Face model's name.

    Truncation and padding are switched off, whatever the file says.
    """
    path = Path(source)
    path = path / "tokenizer.json" if path.is_dir() else path
    if path.is_file():
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise PretrainError(f"{path}: not a tokenizer.json: {error}") from None
    else:
        tokenizer = _from_transformers(str(source))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _from_transformers(name: str) -> Tokenizer:
    from transformers import AutoTokenizer  # a second to import, and only needed for a model's name

    try:
        tokenizer = AutoTokenizer.from_pretrained(name).backend_tokenizer
    except (OSError, ValueError, AttributeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise PretrainError(
            f"{name}: no tokenizer there ({reason}); expected a tokenizer.json, a folder with one, or a model's name"
        ) from None
    return Tokenizer.from_str(tokenizer.to_str())


def save_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int) -> None:
    """Writes `tokenizer.json` and the `tokenizer_config.json` that transformers' AutoTokenizer wants beside it."""
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        **{f"{name[1:-1].lower()}_token": name for name in SPECIAL_TOKENS},
    }
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
