"""Chapter 44: does the best learning rate of a narrow model serve a wide one? Two ways to set rates and first weights, three widths.

    python benchmarks/transfer.py

Text is the running Python's own library, as bytes. Each finished run is stored in benchmarks/transfer.json at once, and what is
there is not run again: stop it whenever you like. Nothing but `processor_seconds` depends on the clock.
"""
import argparse, time
from pathlib import Path

import torch

from llmbook.core import derive_seed, machine_info, read_json, stable_hash, write_json
from llmbook.model.decoder import count_parameters
from llmbook.train.scaling import by_width, byte_text, held_out, learn, shape

PATH = Path(__file__).with_suffix('.json')


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--widths', nargs='+', type=int, default=[32, 96, 192])
    p.add_argument('--powers', nargs='+', type=int, default=[-12, -11, -10, -9, -8, -7, -6, -5], help='learning rates, as powers of two')
    p.add_argument('--tokens', type=int, default=65_536)
    p.add_argument('--seeds', nargs='+', type=int, default=[0])
    a = p.parse_args()
    torch.set_num_threads(1)
    settings = dict(layers=2, tokens=a.tokens, rows=8, T=64, base=min(a.widths), text='python', held=65_536)
    key = stable_hash(settings)
    text,held = byte_text('python', 1_000_000, settings['held'])
    stored = lambda: [r for r in (read_json(PATH)['rows'] if PATH.exists() else []) if r['settings'] == key]
    for seed in a.seeds:
        for width in a.widths:
            for rule in ('standard', 'mup'):
                for power in a.powers:
                    done = stored()
                    if rule == 'mup' and width == settings['base']: continue  # The same run as standard
                    if any((r['rule'], r['width'], r['power'], r['seed']) == (rule, width, power, seed) for r in done): continue
                    t = time.process_time()
                    torch.manual_seed(derive_seed(seed, 'init'))
                    model,optimizers = by_width(shape(width, 2, tie=False), 2.**power, rule, settings['base'])
                    losses = learn(model, optimizers, text, a.tokens, settings['rows'], settings['T'], seed=seed)
                    row = dict(rule=rule, width=width, power=power, seed=seed, loss=held_out(model, held, settings['T']),
                               train_loss=sum(losses[-20:])/20, parameters=count_parameters(model.config),
                               processor_seconds=round(time.process_time()-t, 1), settings=key)
                    write_json(PATH, dict(command='python benchmarks/transfer.py', machine=machine_info(), settings=settings, rows=[*done, row]))
                    print(row, flush=True)


if __name__ == '__main__': main()
