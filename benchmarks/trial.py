"""One short pre-training trial on the tokens of a finished run: what the log's tables of settings are made with.

    llmbook tokenizer --preset laptop --run runs/default
    python benchmarks/trial.py '{"name": "three layers", "model": {"num_hidden_layers": 3}}' --run runs/default

Settings: `tokens`, `lengths` (pairs of sequence length and share of the tokens), `batch_tokens`, `model` (fields of
DecoderConfig) and `lr` (arguments of build_optimizers). The rate falls to zero at the end of each trial. Results are
added to benchmarks/trials.json, each with its machine; they do not depend on the clock.
"""
import argparse, json
from pathlib import Path

import torch

from llmbook.core import derive_seed, machine_info, read_json, write_json
from llmbook.model.decoder import Decoder, DecoderConfig, count_parameters
from llmbook.tokens.batches import EvalWindows, GrowingBatches, TokenStore
from llmbook.train.kernels import chunked_lm_loss
from llmbook.train.loop import Workers, accumulate, evaluate_bpb
from llmbook.train.optim import build_optimizers, clip_by_norm, set_lr

HERE = Path(__file__).parent/'trials.json'
LR = dict(lr_matrix=.02, lr_embed=.004, lr_vector=.004, weight_decay=0., steps=3, method='polar')


def trial(name, run, tokens=820_000, lengths=((256, 1.),), batch_tokens=2048, model={}, lr={}, seed=0, eval_tokens=60_000):
    "Train for `tokens`; bits per byte on the first held-out documents."
    train,held = (TokenStore(Path(run)/'tokenizer'/split) for split in ('train', 'validation'))
    torch.manual_seed(derive_seed(seed, 'init'))
    c = DecoderConfig(**dict(vocab_size=4096, num_hidden_layers=4) | model)
    m = Decoder(c)
    steps = round(tokens/batch_tokens)
    batches = GrowingBatches(train, lengths, batch_tokens, steps, derive_seed(seed, 'order'))
    optimizers,workers = build_optimizers(m, 'muon', **LR | lr),Workers(m, torch.bfloat16)
    for s in range(steps):
        set_lr(optimizers, min(1, (s+1)/(.02*steps))*(1 - s/steps))
        accumulate(workers, batches.batch(s), 0, chunked_lm_loss)
        clip_by_norm(m.parameters(), 1.)
        for o in optimizers: o.step()
        for o in optimizers: o.zero_grad(set_to_none=True)
        workers.refresh()
    windows = EvalWindows(held, lengths[-1][0], batch_size=max(1, 4096//lengths[-1][0]), max_tokens=eval_tokens)
    return dict(name=name, bpb=evaluate_bpb(workers.working, windows)['bpb'], parameters=count_parameters(c), tokens=tokens,
                lengths=lengths, batch_tokens=batch_tokens, model=model, lr=lr, seed=seed)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('settings', nargs='+', help='JSON, one for each trial')
    p.add_argument('--run', default='runs/default')
    a = p.parse_args()
    torch.set_num_threads(1)
    for text in a.settings:
        row = trial(run=a.run, **json.loads(text))
        old,m = read_json(HERE)['trials'] if HERE.exists() else [],machine_info()
        row['machine'] = f"{m['cpu']}, torch {m['torch']}"
        write_json(HERE, dict(command='python benchmarks/trial.py SETTINGS --run runs/default', trials=[*old, row]))
        print(f"{row['name']}: {row['bpb']:.4f}")


if __name__ == '__main__': main()
