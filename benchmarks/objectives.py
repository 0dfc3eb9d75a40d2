"""Chapter 46c: next tokens, masked tokens and missing spans, at equal size and equal work, on the same text.

    llmbook prepare --preset laptop --run runs/default
    python benchmarks/objectives.py --run runs/default

Each finished run is stored in benchmarks/objectives.json at once, and what is there is not run again: stop it whenever you
like. Nothing but `processor_seconds` depends on the clock.
"""
import argparse, functools, itertools, random, tempfile, time
from pathlib import Path

import torch

from llmbook.core import derive_seed, machine_info, read_json, stable_hash, write_json
from llmbook.data.prepare import read_split
from llmbook.model.t5 import random_spans
from llmbook.tokens.batches import TokenStore, write_tokens
from llmbook.tokens.tokenizer import BPETokenizer
from llmbook.train.ablations import take_bytes
from llmbook.train.objectives import OBJECTIVES, Gaps, bag_of_tokens, gap_bits, probe, run_objective, statement_pieces

PATH = Path(__file__).with_suffix('.json')


@functools.cache
def material(run, n_train, n_held, n_probed, vocab):
    "Training text, held-out text, code for the probe that comes after the training text, and the tokenizer."
    rows = (r['text'] for r in read_split(Path(run)/'data', 'train'))
    texts = take_bytes(rows, n_train)
    held = take_bytes((r['text'] for r in read_split(Path(run)/'data', 'validation')), n_held)
    return texts, held, take_bytes(itertools.islice(rows, 1, None), n_probed), BPETokenizer.train(texts, vocab, special_tokens=('<|endoftext|>', '<|pad|>'))


def frequencies(texts, held, tokenizer, seq_len=128, windows=200):
    "What the gaps of `judge_objective` cost when nothing is known but how often each token occurs."
    g = Gaps(tokenizer.vocab_size, tokenizer.eot_id, tokenizer.pad_id)
    with tempfile.TemporaryDirectory() as d:
        write_tokens(texts, tokenizer, f'{d}/train')
        write_tokens(held, tokenizer, f'{d}/held')
        seen,rest = TokenStore(f'{d}/train'),TokenStore(f'{d}/held')
        counts = torch.bincount(torch.from_numpy(seen[:].astype('int64')), minlength=g.total) + .1
        logp = (counts/counts.sum()).log()
        n = rest.n_tokens//seq_len
        rows = torch.stack([torch.from_numpy(rest.read(k*n//min(n, windows)*seq_len, seq_len).astype('int64')) for k in range(min(n, windows))])
    length,out = torch.tensor([0 if i in g.special else len(tokenizer.decode_bytes([i])) for i in range(g.total)]),{}
    for name,density,mean in (('single', round(.05*seq_len)/seq_len, 1.), ('spans', .15, 3.)):
        rng = random.Random(derive_seed(0, 'held', name))
        spans = [random_spans(seq_len, rng, density, mean) for _ in rows]
        missing = sum(int(length[r[a:b]].sum()) for r,s in zip(rows, spans) for a,b in s)
        out[name] = gap_bits(lambda x: logp.expand(*x.shape, -1), rows, spans, g).sum().item()/missing
    return out


def counted(seed, probed, tokenizer, pieces):
    "What the probe reaches without any model."
    ids,kinds = statement_pieces(probed, tokenizer, pieces, seed=seed)
    return probe(bag_of_tokens(ids, tokenizer.vocab_size), kinds)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--run', required=True, help='a run folder with data/')
    p.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    p.add_argument('--bytes', type=int, default=750_000, help='of training text')
    p.add_argument('--held', type=int, default=200_000, help='of held-out text')
    p.add_argument('--probed', type=int, default=2_000_000, help='of code for the probe')
    p.add_argument('--vocab', type=int, default=2048)
    p.add_argument('--width', type=int, default=64)
    p.add_argument('--passes', type=float, default=1., help='the budget: readings of the text by the decoder')
    a = p.parse_args()
    torch.set_num_threads(1)
    settings = dict(bytes=a.bytes, held=a.held, probed=a.probed, vocab=a.vocab, width=a.width, passes=a.passes)
    command = 'python benchmarks/objectives.py --run runs/default ' + ' '.join(f'--{k} {v:g}' if k == 'passes' else f'--{k} {v}' for k,v in settings.items())
    texts,held,probed,tokenizer = material(a.run, a.bytes, a.held, a.probed, a.vocab)
    shape = dict(width=a.width, windows=200, pieces=3600, probed=probed)
    arms = {k: lambda seed, k=k: run_objective(k, texts, held, tokenizer, seed, passes=a.passes, **shape) for k in OBJECTIVES}
    arms |= {f'{k}, untrained': lambda seed, k=k: run_objective(k, texts, held, tokenizer, seed, passes=0, **shape) for k in OBJECTIVES}
    arms['bag of tokens'] = lambda seed: counted(seed, probed, tokenizer, 3600)
    key = stable_hash(settings)
    stored = lambda: [r for r in (read_json(PATH)['rows'] if PATH.exists() else []) if r['settings'] == key]
    m,base = machine_info(),frequencies(texts, held, tokenizer)
    save = lambda rows: write_json(PATH, dict(command=command, machine=f"{m['cpu']}, torch {m['torch']}", settings=settings, frequencies=base,
                                              rows=sorted(rows, key=lambda r: r['seed'])))
    for seed in a.seeds:
        for arm,f in arms.items():
            if any((r['arm'], r['seed']) == (arm, seed) for r in stored()): continue
            t = time.process_time()
            row = dict(arm=arm, seed=seed, settings=key, **f(seed), processor_seconds=round(time.process_time()-t, 1))
            rows = stored() + [row]
            save(rows)
            print(row, flush=True)
    save(stored())


if __name__ == '__main__': main()
