"""Chapter 44: loss against parameters and tokens, on runs small enough for one processor core; the last size is kept out of the fit.

    python benchmarks/scaling.py

Text is the running Python's own library, as bytes; every byte is read at most once. Each finished run is stored in
benchmarks/scaling.json at once, and what is there is not run again: stop it whenever you like. Nothing but
`processor_seconds` depends on the clock.
"""
import argparse, time
from pathlib import Path

import torch

from llmbook.core import derive_seed, machine_info, read_json, stable_hash, write_json
from llmbook.model.decoder import Decoder, count_parameters, flops_per_token
from llmbook.train.optim import build_optimizers
from llmbook.train.scaling import byte_text, held_out, learn, shape

PATH = Path(__file__).with_suffix('.json')
SIZES = [(16, 2), (32, 2), (48, 2), (64, 3), (96, 4)]  # Width and layers; the last is the one to predict
TOKENS = [62_500, 125_000, 250_000, 500_000]
LR = (.02, .005)  # Of the matrices (Muon); of embeddings and norms (AdamW)


def runs():
    "Those to fit, with one seed; then the size to predict, on the two longest texts; then a second seed for the cheaper ones."
    first = [(w, n, t, 0) for t in TOKENS for w,n in SIZES[:-1]]
    return first + [(*SIZES[-1], t, 0) for t in TOKENS[:-3:-1]] + [(w, n, t, 1) for t in TOKENS[:-1] for w,n in SIZES[:-1]]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.parse_args()
    torch.set_num_threads(1)
    settings = dict(rows=8, T=128, lr_matrix=LR[0], lr_embed=LR[1], text='python', held=131_072)
    key = stable_hash(settings)
    text,held = byte_text('python', 1_000_129, settings['held'])
    stored = lambda: [r for r in (read_json(PATH)['rows'] if PATH.exists() else []) if r['settings'] == key]
    for width,layers,tokens,seed in runs():
        done = stored()
        if any((r['width'], r['tokens'], r['seed']) == (width, tokens, seed) for r in done): continue
        t = time.process_time()
        torch.manual_seed(derive_seed(seed, 'init'))
        model = Decoder(shape(width, layers))
        losses = learn(model, build_optimizers(model, lr_matrix=LR[0], lr_embed=LR[1], lr_vector=LR[1], weight_decay=0.), text,
                       tokens, settings['rows'], settings['T'], seed=seed)
        row = dict(width=width, layers=layers, tokens=tokens, seed=seed, parameters=count_parameters(model.config),
                   flops=flops_per_token(model.config, settings['T'])*tokens, loss=held_out(model, held, settings['T']),
                   train_loss=sum(losses[-20:])/20, fitted=(width, layers) != SIZES[-1],
                   processor_seconds=round(time.process_time()-t, 1), settings=key)
        write_json(PATH, dict(command='python benchmarks/scaling.py', machine=machine_info(), settings=settings, rows=[*done, row]))
        print(row, flush=True)


if __name__ == '__main__': main()
