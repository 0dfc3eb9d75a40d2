"""Shared passages by suffix array: megabytes a second and bytes of memory a byte, at several sizes of text.

    python benchmarks/substrings.py data/books.jsonl.gz

Reads the Python library (always) and the paths given, one process, one thread. Each size is measured in a process of
its own, best of three rounds; memory is the most that numpy and Python held at once, by tracemalloc, in a run apart.
Three ways: all suffixes sorted by plain prefix doubling, all by `suffix_array`, and `shared_substrings`, which
sorts by the first 200 bytes only. MinHash of the same texts stands beside them for scale.
"""
import argparse, json, subprocess, sys, time, tracemalloc
from importlib.metadata import version
from pathlib import Path

from llmbook.core import machine_info, write_json
from llmbook.data.corpus import Document, read_corpus
from llmbook.data.dedup import minhash, shared_substrings, suffix_array, suffix_array_plain


def take(spec, size):
    "Documents of `spec` until `size` bytes are reached."
    held = 0
    for d in read_corpus(spec):
        if not isinstance(d, Document): continue
        yield d.text
        held += len(d.text.encode())
        if held >= size: return


def measure(spec, size):
    "One row."
    texts = list(take(spec, size))
    data = '\0'.join(texts).encode()
    n = len(data)
    ways = dict(shared_substrings=lambda: shared_substrings(texts), suffix_array=lambda: suffix_array(data), minhash=lambda: minhash(texts))
    if n < 3e6: ways['suffix_array_plain'] = lambda: suffix_array_plain(data)
    best = dict.fromkeys(ways, float('inf'))
    for _ in range(3):
        for way,f in ways.items():
            start = time.perf_counter()
            out = f()
            best[way] = min(best[way], time.perf_counter()-start)
            if way == 'shared_substrings': spans = out
    memory = {}
    for way in ('shared_substrings', 'suffix_array'):
        tracemalloc.start()
        ways[way]()
        memory[way] = round(tracemalloc.get_traced_memory()[1]/n, 1)
        tracemalloc.stop()
    cut = sum(b-a for s in spans for a,b in s)
    return dict(texts='Python library' if spec == 'python' else Path(spec).name, documents=len(texts), bytes=n, shared=round(cut/n, 4),
                megabytes_per_second={way: round(n/1e6/t, 2) for way,t in best.items()}, memory_bytes_per_byte=memory)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('paths', nargs='*', help='more texts, in any form that read_corpus knows')
    p.add_argument('--one', type=int, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.one: return print(json.dumps(measure(a.paths[0], a.one)))
    rows = []
    for spec in ['python', *a.paths]:
        for size in (1_000_000, 4_000_000, 10_000_000):
            rows.append(json.loads(subprocess.run([sys.executable, __file__, spec, '--one', str(size)], check=True, capture_output=True, text=True).stdout))
            print(rows[-1])
    command = ' '.join(['python benchmarks/substrings.py', *(f'data/{Path(x).name}' for x in a.paths)])
    write_json(Path(__file__).with_suffix('.json'), dict(command=command, machine=machine_info(), packages={'numpy': version('numpy')},
                                                           setting=dict(min_bytes=200, processes=1, rounds=3), rows=rows))


if __name__ == '__main__': main()
