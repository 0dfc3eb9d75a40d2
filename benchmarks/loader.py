"""Does the trainer wait for its data? And what does packing waste on a whole corpus?

    python benchmarks/loader.py --steps 30

Trains the laptop preset's model on its batches in three ways, in turn within one run: batches made when they are needed,
made ahead by a thread, and made by the worker processes of a DataLoader. Beside it, the loader alone. Then the lengths of
every document of the corpus, packed in four ways. Results go to benchmarks/loader.json.
"""
import argparse, dataclasses, sys, tempfile, time
from importlib.metadata import version
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from llmbook.book import get_preset
from llmbook.core import machine_info, pick_device, write_json
from llmbook.data.corpus import Document, read_corpus
from llmbook.model.decoder import Decoder
from llmbook.tokens.batches import Batches, TokenStore, write_tokens
from llmbook.tokens.loader import DocumentBatches, MixedBatches, Prefetch, RankBatches, as_dataset, packing_table
from llmbook.tokens.vocab import Tokenizer
from llmbook.train.loop import train


class Timed:
    "Batches that keep the time the trainer spent waiting for them."
    def __init__(self, ask): self.ask,self.waited = ask,0.
    def batch(self, step):
        t = time.perf_counter()
        try: return self.ask(step)
        finally: self.waited += time.perf_counter() - t


def timed(ask, config, steps):
    "Train the preset's model on what `ask` gives: tokens a second, and the share of the time spent waiting for batches."
    torch.manual_seed(0)
    batches,how = Timed(ask),dataclasses.replace(config.pretrain, tokens=steps*config.pretrain.batch_tokens, save_every=steps+1, eval_every=0)
    with tempfile.TemporaryDirectory() as d:
        numbers = train(Decoder(config.model).to(pick_device()), batches, how, d, quiet=True)
    return dict(tokens_per_second=round(numbers['tokens_per_second']), waiting_share=round(batches.waited/numbers['seconds'], 5))


def alone(ask, n, tokens):
    "The loader with nothing else to do."
    began = time.perf_counter()
    for i in range(n): ask(i)
    return round(n*tokens/(time.perf_counter() - began))


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--corpus', default='python', help="a file, a folder or 'python'")
    p.add_argument('--preset', default='laptop')
    p.add_argument('--steps', type=int, default=30)
    p.add_argument('--rounds', type=int, default=2, help='each way of loading is timed so many times, in turn')
    p.add_argument('--threads', type=int, default=0, help='of torch; its own choice unless given')
    a = p.parse_args()
    if a.threads: torch.set_num_threads(a.threads)
    config = get_preset(a.preset)
    texts = [d.text for d in read_corpus(a.corpus) if isinstance(d, Document)]
    tokenizer = Tokenizer.train(texts[::4], config.vocab_size)
    B,T = max(1, config.pretrain.batch_tokens//config.seq_len),config.seq_len
    with tempfile.TemporaryDirectory() as d:
        write_tokens(texts, tokenizer, d)
        store = TokenStore(d)
        sources = dict(windows=Batches(store, T, B), documents=DocumentBatches(store, T, B))
        sources['mixed 3:1'] = MixedBatches(dict(a=sources['windows'], b=sources['documents']), dict(a=3, b=1))
        sources['mixed 3:1, rank 0 of 2'] = RankBatches(sources['mixed 3:1'], 0, 2)
        loader = {n: alone(s.batch, 200, s.batch_size*T) for n,s in sources.items()}
        timed(sources['windows'].batch, config, 3)
        rounds = []
        for _ in range(a.rounds):
            row = dict(when_needed=timed(sources['windows'].batch, config, a.steps))
            with Prefetch(sources['windows'], stop=a.steps) as ahead: row['thread'] = timed(ahead.batch, config, a.steps)
            it = iter(DataLoader(as_dataset(sources['windows'], 0, a.steps), batch_size=None, num_workers=1))
            first = next(it)
            row['process'] = timed(lambda i: first if i == 0 else next(it), config, a.steps)
            del it
            rounds.append(row)
        lengths = [b-s for s,b in zip(store.documents[:,0].tolist(), [*store.documents[1:,0].tolist(), store.n_tokens])]
        counts = dict(documents=store.n_docs, tokens=store.n_tokens, bytes=store.n_bytes)
    best = max(r['when_needed']['tokens_per_second'] for r in rounds)
    ways = {w: dict(tokens_per_second=max(r[w]['tokens_per_second'] for r in rounds),
                    waiting_share=min(r[w]['waiting_share'] for r in rounds)) for w in rounds[0]}
    packing = {f'T={t}': [{k: round(v, 5) if isinstance(v, float) else v for k,v in r.items()} for r in packing_table(lengths, t)]
               for t in (256, 1024, 4096, 16384)}
    out = dict(command=' '.join(['python', 'benchmarks/loader.py', *sys.argv[1:]]), machine=machine_info(),
               packages={k: version(k) for k in ('torch', 'numpy', 'tokenizers')}, preset=a.preset, rows=B, seq_len=T,
               corpus=dict(spec=a.corpus, **counts), loader_alone_tokens_per_second=loader, trainer=ways, rounds=rounds,
               loader_times_trainer={n: round(v/best, 1) for n,v in loader.items()}, packing=packing)
    write_json(Path(__file__).parent/'loader.json', out)
    print(out['loader_times_trainer'], ways, sep='\n')


if __name__ == '__main__': main()
