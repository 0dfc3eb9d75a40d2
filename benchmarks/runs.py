"""Run a preset with several seeds and keep the numbers that pages and README read: results, not times.

    python benchmarks/runs.py laptop --seeds 0 1 2 --until pretrain --folder runs/bench

A run that is already in the folder is continued or, when it is finished, only read. Results go to
benchmarks/PRESET.json with the machine and the command that made them.
"""
import argparse, sys
from pathlib import Path

from llmbook.book import book, get_preset
from llmbook.core import machine_info, write_json

KEYS = ('seed', 'val_bpb', 'baselines', 'torch_bpb')


def one_run(preset, seed, folder, until):
    "Run or continue one seed; its numbers."
    config = get_preset(preset)
    config.seed = config.data.seed = config.pretrain.seed = config.sft.train.seed = seed
    if until: book(config, folder, until='baselines')
    s = book(config, folder, until=until)
    row = {k: s[k] for k in KEYS if k in s}
    for stage,names in dict(pretrain=('tokens', 'val_loss', 'parameters'),
                            sft=('heldout_loss_before', 'heldout_loss_after', 'stop_rate', 'stop_rate_greedy', 'stop_prompts', 'pairs')).items():
        if stage in s: row[stage] = {n: s[stage][n] for n in names if n in s[stage]}
    if 'exports' in s: row['exports'],row['parity'] = s['exports'],s['parity']
    return row


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('preset')
    p.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    p.add_argument('--until', default='', help='last stage of every seed but the first')
    p.add_argument('--folder', default='runs/bench')
    a = p.parse_args()
    runs = [one_run(a.preset, s, Path(a.folder)/f'{a.preset}-{s}', a.until if i else '') for i,s in enumerate(a.seeds)]
    m = machine_info()
    where = f"{m['gpu'] or m['cpu']}, {m['cores']} cores, torch {m['torch']}"
    write_json(Path(__file__).parent/f'{a.preset}.json', dict(command=' '.join(['python', 'benchmarks/runs.py', *sys.argv[1:]]),
                                                           machine=where, details=m, runs=runs))


if __name__ == '__main__': main()
