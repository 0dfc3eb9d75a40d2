"""A small run killed a hundred times at random moments: is the end the same, and is every file whole?

One process trains without a break. Another is killed (SIGKILL) at a random moment of the tenth of a second after a new checkpoint, and started again with the same command, until it
has been killed so often and has then run to its end. After each kill every file that stands in the run's folder is opened.

    python benchmarks/kills.py --kills 100
"""
import argparse, random, signal, subprocess, sys, tempfile, time
from pathlib import Path
from safetensors import safe_open
from llmbook.core import file_hash, machine_info, read_json, write_json
from llmbook.train.state import read_metrics

CODE = '''
import sys, torch
from llmbook.train.loop import Counting, toy, toy_settings, train
torch.set_num_threads(1)
class Windows(list): n_bytes = 512
m = toy()
train(m, Counting(), toy_settings(tokens=128*int(sys.argv[2]), save_every=5, keep=2, ema=.9, dtype='bfloat16', eval_every=128*20),
      sys.argv[1], Windows([Counting(seed=7).batch(s) for s in range(2)]), quiet=True)
'''

def whole(folder):
    "Open everything; files whose names begin with a dot are another's unfinished work."
    n = 0
    for f in sorted(Path(folder).rglob('*')):
        if not f.is_file() or any(part.startswith('.') for part in f.relative_to(folder).parts): continue
        n += 1
        if f.suffix == '.safetensors':
            with safe_open(f, 'pt') as t: [t.get_tensor(k) for k in t.keys()]
        elif f.suffix == '.json': read_json(f)
        elif f.suffix == '.jsonl': read_metrics(f)
    return n

def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('--kills', type=int, default=100)
    a.add_argument('--steps', type=int, default=2000)
    a.add_argument('--seed', type=int, default=0)
    a.add_argument('--out', type=Path, default=Path('benchmarks/kills.json'))
    a = a.parse_args()
    rng,killed,opened,moments = random.Random(a.seed),0,0,[]
    with tempfile.TemporaryDirectory() as d:
        start = lambda name: subprocess.Popen([sys.executable, '-c', CODE, f'{d}/{name}', str(a.steps)])
        assert start('through').wait() == 0
        while killed < a.kills:
            p = start('killed')
            at = lambda: max([int(f.name[5:]) for f in Path(d, 'killed').glob('step-*')], default=0)
            begun = at()
            while at() == begun and p.poll() is None: time.sleep(.01)
            try: p.wait(rng.random()*.12)
            except subprocess.TimeoutExpired: p.send_signal(signal.SIGKILL)
            code = p.wait()
            assert code in (0, -signal.SIGKILL), code
            if code == 0: break
            killed += 1
            moments.append(at())
            opened += whole(f'{d}/killed')
        assert start('killed').wait() == 0
        names = sorted(f.relative_to(f'{d}/through').as_posix() for f in Path(d, 'through').rglob('*') if f.suffix == '.safetensors' or f.name == 'numbers.json')
        same = {n: file_hash(f'{d}/through/{n}') == file_hash(f'{d}/killed/{n}') for n in names}
        left = [f.name for f in Path(d, 'killed').rglob('.*')]
        losses = [[(r['step'], r.get('loss'), r.get('val_loss')) for r in read_metrics(f'{d}/{n}/metrics.jsonl')] for n in ('through', 'killed')]
    result = dict(command=f'python benchmarks/kills.py --kills {a.kills} --steps {a.steps}', machine=machine_info(), kills=killed, files_opened=opened,
                  checkpoints_at_kills=moments, same_bytes=same, same_losses=losses[0] == losses[1], left_over=left)
    print({k: v for k,v in result.items() if k != 'checkpoints_at_kills'})
    write_json(a.out, result)
    sys.exit(0 if killed == a.kills and all(same.values()) and result['same_losses'] and not left else 1)

if __name__ == '__main__': main()
