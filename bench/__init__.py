"""Measurements, as commands; not installed, and nothing imports it. ``python -m bench``: how fast policytag is.

Everything is measured in one run on one machine, the contenders in turns, so that a busy moment hits all of them; what
is compared are ratios. Needs the ``bench`` extra. What is not installed is left out, and the table says so: the other
servers are looked for in an environment of their own (``--others``, ``bench/requirements-servers.txt``).

    gemm.py         the machine's own limit: multiplications a second at the network's shapes
    contenders.py   this project's tagger and the others, in process
    servers.py      this project's service and command line, and other servers
    growth.py       latency, memory, cold start; lengths, clients, cores
    training.py     fine-tuning beside a plain Trainer (python -m bench.training)
    pretraining.py  a step of pretraining beside a plain one (python -m bench.pretraining)
    timing.py       rounds in turns
    kills.py        python -m bench.kills: what SIGKILLs at random moments lose
    million.py      python -m bench.million: memory and rate of a long run
    paragraphs.py   the paragraphs of these two
    report.py       the table and the plot
"""
