"""Chapter 46d: SGD, AdamW, LAMB and Muon at an equal budget: equally many trials to tune each, then three seeds.

    python benchmarks/optimisers.py

The text is the running Python's own library. Each finished trial is stored in benchmarks/optimisers.json at once, and what is
there is not run again: stop it whenever you like. A file of other settings is refused. Losses do not depend on the clock;
`step_seconds` of the processor do, and only ratios of them mean something. After the table, AdamW is run
once more with a faster embedding (`afterwards` in the file): outside of the rule, to see what a second dial is worth.
"""
import argparse, multiprocessing, platform, sys, tempfile
from functools import partial
from pathlib import Path

import torch

from llmbook.core import LlmbookError, derive_seed, machine_info, read_json, require, write_json
from llmbook.data.corpus import Document, read_corpus
from llmbook.tokens.batches import EvalWindows, TokenStore, write_tokens
from llmbook.tokens.vocab import Tokenizer
from llmbook.train.ablations import small_model, take_bytes
from llmbook.train.optimisers import DIALS, next_trial, run_trial, tuned

PATH = Path(__file__).with_suffix('.json')
MIDDLE = dict(sgd=.5, adamw=.01, lamb=.04, muon=.04)  # of each first grid, from a pilot of 30 steps (--steps 30 --rates 3 --factor 4)


def material(n_bytes, vocab, folder):
    "Training tokens of whole documents, held-out tokens from the middle of 32 others, and the size of the vocabulary."
    docs = sorted((d for d in read_corpus('python') if isinstance(d, Document)), key=lambda d: derive_seed(0, d.id))
    held = [d.text[len(d.text)//2:][:1000] for d in docs[:32]]
    texts = take_bytes((d.text for d in docs[32:]), n_bytes)
    tokenizer = Tokenizer.train(texts, vocab)
    made = {name: write_tokens(x, tokenizer, f'{folder}/{name}')['hash'] for name,x in (('train', texts), ('held', held))}
    return TokenStore(f'{folder}/train'), TokenStore(f'{folder}/held'), tokenizer.vocab_size, made


def one(store, windows, V, a, make_model, t):
    "Run trial `t`; its row."
    lr = MIDDLE[t['optimizer']]*a.factor**t['k']
    return t | dict(lr=lr, **run_trial(store, windows, V, t['optimizer'], lr, t['seed'], a.steps, a.every, a.batch, a.length, make_model))


def afterwards(store, windows, V, a, make_model, t):
    "A trial outside of the rule: AdamW at its best rate, its embeddings three times as fast."
    DIALS['adamw'] = dict(shares=(1., 3., 1.))
    return one(store, windows, V, a, make_model, t) | dict(shares=[1., 3., 1.])


def ready(rows, a):
    "The next trials that need not wait for each other: a rest of the first grid, a round of widening, or new seeds."
    todo,kind = [],None
    while (t := next_trial(rows + [x | dict(final=None) for x in todo], list(MIDDLE), a.rates, a.seeds)) is not None:
        now = 'seed' if t['seed'] else 'grid' if abs(t['k']) <= a.rates//2 else 'wider'
        if now != (kind or now) or now == 'wider' and len(todo) == len(MIDDLE): break
        kind = now
        todo.append(t)
    return todo


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--bytes', type=int, default=600_000, help='of training text')
    p.add_argument('--vocab', type=int, default=2048)
    p.add_argument('--width', type=int, default=64)
    p.add_argument('--steps', type=int, default=250)
    p.add_argument('--every', type=int, default=25, help='steps between two looks at the held-out text')
    p.add_argument('--batch', type=int, default=8, help='sequences in a batch')
    p.add_argument('--length', type=int, default=64, help='tokens in a sequence')
    p.add_argument('--rates', type=int, default=5, help='tried at first by each')
    p.add_argument('--factor', type=float, default=2., help='between two rates')
    p.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3], help='for the best rate; 0 is for tuning')
    p.add_argument('--jobs', type=int, default=1, help='trials side by side')
    p.add_argument('--out', type=Path, default=PATH)
    a = p.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        store,held,V,hashes = material(a.bytes, a.vocab, folder)
        settings = {k: v for k,v in vars(a).items() if k not in ('out', 'jobs')} | dict(middle=MIDDLE, text=hashes, held_tokens=held.n_tokens,
                    train_tokens=store.n_tokens, python=platform.python_version())
        m,old = machine_info(),read_json(a.out) if a.out.exists() else None
        require(old is None or old['settings'] == settings, f'{a.out.name} was made with other settings; give --out another name or delete it.')
        rows = old['rows'] if old else []
        windows = EvalWindows(held, a.length, stride=a.length, batch_size=32)
        shape = dict(hidden_size=a.width, intermediate_size=3*a.width, num_attention_heads=2, num_key_value_heads=1)
        more = old.get('afterwards', []) if old else []
        save = lambda: write_json(a.out, dict(command=' '.join(['python benchmarks/optimisers.py', *sys.argv[1:]]),
            machine=f"{m['cpu']}, 1 thread, torch {m['torch']}", settings=settings, rows=rows, afterwards=more))
        given = store, windows, V, a, partial(small_model, **shape)
        with multiprocessing.get_context('fork').Pool(a.jobs) as pool:
            while todo := ready(rows, a):
                for row in pool.imap(partial(one, *given), todo):
                    rows.append(row)
                    save()
                    print(len(rows), {k: row[k] for k in ('optimizer', 'lr', 'seed', 'final')}, flush=True)
        with multiprocessing.get_context('fork').Pool(a.jobs) as pool:
            todo = [dict(optimizer='adamw', k=tuned(rows, 'adamw')[1], seed=s) for s in a.seeds if s not in {r['seed'] for r in more}]
            for row in pool.imap(partial(afterwards, *given), todo):
                more.append(row)
                save()
                print('afterwards', {k: row[k] for k in ('optimizer', 'lr', 'seed', 'final')}, flush=True)


if __name__ == '__main__':
    try: main()
    except LlmbookError as e: sys.exit(str(e))
