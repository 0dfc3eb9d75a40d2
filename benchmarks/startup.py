"""Seconds from the command to the first training step: `llmbook pretrain --preset smoke` in a folder that does not exist yet.

Everything before the step is done each time: imports, reading and splitting the corpus, training the vocabulary. The first step is
there when its line stands in metrics.jsonl; then the process is killed.

    python benchmarks/startup.py
"""
import argparse, os, signal, subprocess, sys, tempfile, time
from pathlib import Path
from llmbook.core import machine_info, write_json

def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('--repeats', type=int, default=5)
    a.add_argument('--out', type=Path, default=Path('benchmarks/startup.json'))
    a = a.parse_args()
    seconds,stages = [],{}
    for _ in range(a.repeats):
        with tempfile.TemporaryDirectory() as d:
            metrics,t = Path(d)/'run/pretrain/metrics.jsonl',time.perf_counter()
            p = subprocess.Popen([sys.executable, '-m', 'llmbook', 'pretrain', '--preset', 'smoke', '--run', f'{d}/run'],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ | {'PYTHONUNBUFFERED': '1'})
            for line in p.stdout:
                stages.setdefault(line.split(':')[0].strip(), []).append(round(time.perf_counter()-t, 2))
                if 'pretrain' in line: break
            while not (metrics.exists() and metrics.stat().st_size) and p.poll() is None: time.sleep(.005)
            assert metrics.exists() and metrics.stat().st_size, 'the command ended before its first step'
            seconds.append(round(time.perf_counter()-t, 2))
            p.send_signal(signal.SIGKILL)
            p.wait()
    result = dict(command='python benchmarks/startup.py', machine=machine_info(), load=os.getloadavg()[0], first_step=seconds, begins=stages)
    print(result)
    write_json(a.out, result)

if __name__ == '__main__': main()
