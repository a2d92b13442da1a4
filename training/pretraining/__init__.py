"""Pretraining of the small BERT encoder: masked tokens and adjacent passages, from text to a Hugging Face folder.

Two losses come from one forward pass: masked-language modelling, and a contrast that must tell which passage follows
a passage in its document. A run is a function of its configuration and data: batches and random numbers follow from
(seed, step), and the learning rate from the step, so that a killed run, resumed, ends in the same weights.

Several GPUs share a batch: each process takes a part of the pairs, gradients are averaged, and the contrast is among
the pairs of its own process (the documents are not split over processes, the hard negatives stay).

    config.py config.toml   every setting, and the paths of a run
    errors.py  files.py     the error for the user; files that outlive a kill
    text.py                 files to paragraphs, without the texts to leave out
    tokens.py               paragraphs to a token cache
    passages.py             documents to passages, drawn in pairs
    batches.py              pairs to masked, padded arrays
    cooccurrence.py         the first token vectors
    model.py                the network and both losses
    run.py                  a run's state, one step of it, its validation
    log.py checkpoints.py   what a run leaves on disk
    probe.py                what the frozen encoder is worth for labels
    export.py card.py       the encoder that is handed on
    loop.py                 all steps of a run
    operation.py            all of it, from text to encoder
"""
