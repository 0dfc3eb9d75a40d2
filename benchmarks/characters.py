"""Tinyshakespeare by the character: this book's recipe beside nanoGPT's recipe for a CPU, in turns, on the same cores.

The text is the one file that nanoGPT downloads (1,115,394 characters); the last tenth is held out, as there. Seconds are those of
training steps alone: no start-up, no evaluation, on either side. The score is the mean loss in nats over every character of the
held-out text. nanoGPT is a folder with a checkout of https://github.com/karpathy/nanoGPT.

    python benchmarks/characters.py data/tinyshakespeare.txt --nanogpt ../nanoGPT --seeds 0 1 2
"""
import argparse, json, os, re, shutil, subprocess, sys, tempfile
from pathlib import Path
import torch
from llmbook.book import apply_setting, get_preset
from llmbook.core import LlmbookError, derive_seed, machine_info, read_json, write_json
from llmbook.model.auto import build
from llmbook.tokens.batches import EvalWindows, GrowingBatches, TokenStore, write_tokens
from llmbook.tokens.vocab import Tokenizer
from llmbook.train.characters import halves
from llmbook.train.loop import evaluate_bpb, train

CPU_RECIPE = dict(device='cpu', compile=False, block_size=64, batch_size=12, n_layer=4, n_head=4, n_embd=128, max_iters=2000,
    lr_decay_iters=2000, dropout=0.0, eval_interval=2000, eval_iters=1, log_interval=1, always_save_checkpoint=True)

SHORT = dict(tokens=106_496, settings=['pretrain.lr_embed=0.02']) # A tenth of nanoGPT's time: a shorter run bears a higher rate

def arguments():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('text', type=Path, help='tinyshakespeare, one file')
    a.add_argument('--nanogpt', type=Path, help='a checkout of nanoGPT; left out, only this book is timed')
    a.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    a.add_argument('--out', type=Path, default=Path('benchmarks/characters.json'))
    a.add_argument('--set', nargs='*', default=[], help='settings of the preset to change, for trials')
    return a.parse_args()

def ours(text, tokens, seed, settings=(), device='cpu', look=lambda folder: {}):
    "Train with the preset `characters`; seconds of the steps, nats per character held out, and what `look` finds in the run's folder."
    c = get_preset('characters')
    for s in (f'pretrain.tokens={tokens}', f'pretrain.seed={seed}', *settings): apply_setting(c, s)
    with tempfile.TemporaryDirectory() as d:
        train_text,held = halves(text, c.as_it_is)
        tokenizer = Tokenizer.train([train_text], c.vocab_size)
        for name,part in (('train', train_text), ('held', held)): write_tokens([part], tokenizer, Path(d)/name)
        torch.manual_seed(derive_seed(seed, 'init'))
        model = build(c.model).to(device)
        batches = GrowingBatches(TokenStore(Path(d)/'train'), c.lengths or [(c.seq_len, 1.)], c.pretrain.batch_tokens, c.pretrain.steps, derive_seed(seed, 'order'))
        got = train(model, batches, c.pretrain, Path(d)/'run', quiet=True)
        result = evaluate_bpb(model, EvalWindows(TokenStore(Path(d)/'held'), c.seq_len, batch_size=c.eval_rows))
        more = look(Path(d)/'run')
    return dict(system='llmbook', seed=seed, tokens=got['tokens'], parameters=sum(p.numel() for p in model.parameters()), seconds=round(got['seconds'], 2),
                nats=result['loss']*result['tokens']/len(held), characters=len(held), settings=list(settings)) | more

def nanogpt(folder, text, seed, recipe=CPU_RECIPE, look=lambda out: {}):
    "Run nanoGPT's recipe as it is; the milliseconds it prints for its steps, its checkpoint on the whole held-out text, and what `look` finds in its words."
    own = dict(block_size=256, max_iters=5000, eval_interval=250) | recipe # Its config/train_shakespeare_char.py, where the recipe is silent
    with tempfile.TemporaryDirectory() as d:
        work = Path(d)/'nanoGPT'
        shutil.copytree(folder, work, ignore=shutil.ignore_patterns('.git'))
        shutil.copy(text, work/'data/shakespeare_char/input.txt')
        run = lambda *a: subprocess.run([sys.executable, *a], cwd=work, check=True, capture_output=True, text=True).stdout
        run('data/shakespeare_char/prepare.py')
        source = (work/'train.py').read_text()
        assert 'torch.manual_seed(1337 + seed_offset)' in source
        (work/'train.py').write_text(source.replace('torch.manual_seed(1337 + seed_offset)', f'torch.manual_seed({1337+seed} + seed_offset)'))
        out = run('train.py', 'config/train_shakespeare_char.py', *(f'--{k}={v}' for k,v in recipe.items()))
        times = [(int(i), float(ms)) for i,ms in re.findall(r'iter (\d+): loss [\d.]+, time ([\d.]+)ms', out)]
        steps = [ms for i,ms in times if i % own['eval_interval']]
        nats,n = json.loads(run('-c', HELD.replace('64,32', f'{own["block_size"]},{own["block_size"]//2}')).splitlines()[-1])
    return dict(system='nanoGPT', seed=seed, steps=own['max_iters'], seconds=round(sum(steps)/1000*own['max_iters']/len(steps), 2), nats=nats, characters=n) | look(out)

HELD = '''
import json, numpy as np, torch, torch.nn.functional as F
from model import GPT, GPTConfig
kept = torch.load('out-shakespeare-char/ckpt.pt', map_location='cpu', weights_only=True)
model = GPT(GPTConfig(**kept['model_args']))
model.load_state_dict({k.removeprefix('_orig_mod.'): v for k,v in kept['model'].items()})
model.eval()
ids,T,S = torch.from_numpy(np.fromfile('data/shakespeare_char/val.bin', np.uint16).astype(np.int64)),64,32
total,n = 0.,0
with torch.no_grad():
    starts = list(range(0, len(ids)-1-T, S)) + [len(ids)-1-T]
    done = 0
    for s in starts:
        logits,_ = model(ids[None,s:s+T], ids[None,s+1:s+T+1])
        loss = F.cross_entropy(logits[0], ids[s+1:s+T+1], reduction='none')
        fresh = loss[done-s:]
        total,n,done = total + fresh.sum().item(),n + len(fresh),s+T
print(json.dumps([total/n, n]))
'''

def main():
    a = arguments()
    text = a.text.read_text(encoding='utf-8')
    preset = get_preset('characters')
    budgets = [(SHORT['tokens'], SHORT['settings']), (preset.pretrain.tokens, [])]
    result = read_json(a.out) if a.out.exists() else dict(rows=[])
    result |= dict(command=f'python benchmarks/characters.py data/tinyshakespeare.txt --nanogpt ../nanoGPT --seeds {" ".join(map(str, a.seeds))}' + ''.join(f' --set {s}' for s in a.set),
                   machine=machine_info(), threads=torch.get_num_threads(), torch=torch.__version__, nanogpt=CPU_RECIPE)
    for seed in a.seeds:
        jobs = [(lambda t=t, more=more: ours(text, t, seed, [*more, *a.set])) for t,more in budgets] + ([lambda: nanogpt(a.nanogpt, a.text, seed)] if a.nanogpt else [])
        for job in jobs:
            row = job()
            row['load'] = os.getloadavg()[0]
            same = lambda r: all(r.get(k) == row.get(k) for k in ('system', 'seed', 'tokens', 'settings'))
            result['rows'] = [r for r in result['rows'] if not same(r)] + [row]
            print(row, flush=True)
            write_json(a.out, result)

if __name__ == '__main__':
    try: main()
    except LlmbookError as e: sys.exit(f'characters: {e}')
