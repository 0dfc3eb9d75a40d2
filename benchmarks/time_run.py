"""Time one whole run of a preset, with the network cut off where `unshare` may do so, and keep what it took.

    python benchmarks/time_run.py laptop --run runs/timed

The run folder must not exist yet. Results go to benchmarks/PRESET_time.json; times mean something on a quiet machine only.
"""
import argparse, resource, subprocess, sys, time
from pathlib import Path

from llmbook.core import machine_info, read_json, require, write_json


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('preset')
    p.add_argument('--run', default='runs/timed')
    a = p.parse_args()
    require(not Path(a.run).exists(), f'{a.run} exists already; name a new folder.')
    cut = ['unshare', '-rn'] if subprocess.run(['unshare', '-rn', 'true'], capture_output=True).returncode == 0 else []
    command = [sys.executable, '-c', 'import sys; from llmbook.cli import main; sys.exit(main())', 'book', '--preset', a.preset, '--run', a.run]
    start = time.monotonic()
    subprocess.run([*cut, *command], check=True)
    wall = time.monotonic() - start
    s = read_json(Path(a.run)/'summary.json')
    write_json(Path(__file__).parent/f'{a.preset}_time.json', dict(
        command=f'python benchmarks/time_run.py {a.preset}', network_cut_off=bool(cut), machine=machine_info(), wall_seconds=wall,
        stage_seconds=s['stage_seconds'], max_rss_mb=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1024, peak_memory=s['peak_memory'],
        tokens_per_second=s['pretrain']['tokens_per_second'], val_bpb=s['val_bpb'], parameters=s['pretrain']['parameters']))


if __name__ == '__main__': main()
