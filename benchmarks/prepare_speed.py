"""The pipeline of chapter 15 beside datatrove's own steps for the same rules: MB a second of one core, and peak memory.

    python benchmarks/prepare_speed.py data/books.jsonl.gz data/c4.jsonl.gz python site-packages --megabytes 0 --skip datatrove_spacy

Each corpus is a path, 'python' or 'site-packages'. All are cut to their share of `--megabytes` (0 takes everything),
written once as JSON Lines, and read from there by every arm. An arm is a process of its own, working on one core;
its time is the processor time of that process and its children, so that a busy machine changes little.

Arms on the same texts, all taken for English web pages, language filter off:
  llmbook           stages quality, dedup with all published rules (Gopher, C4, FineWeb, MinHash 14x8)
  datatrove_spacy   GopherRepetition, GopherQuality, C4Quality, FineWebQuality, the four Minhash steps, as they come (but the share of repeated characters at the paper's tenth)
  datatrove_split   the same with words split at white space, as llmbook does, in place of spaCy
and, with nothing to compare: llmbook_all, the default pipeline (clean, quality, dedup; kinds and rules by file type).
"""
import argparse, gzip, importlib.metadata, json, os, resource, subprocess, sys, sysconfig, tempfile, time
from pathlib import Path

ARMS = 'llmbook', 'datatrove_split', 'datatrove_spacy'

def used():
    "Processor seconds of this process and its children."
    return sum(r.ru_utime + r.ru_stime for r in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))

def write_texts(corpora, folder, megabytes, per_file=16_000_000):
    "Write all texts as JSON Lines, without their kind and with it; returns bytes and documents by corpus."
    from llmbook.data.corpus import Document, read_corpus
    sizes,n,files,room = {},0,[],0
    for corpus in corpora:
        spec = sysconfig.get_paths()['purelib'] + '/**/*.py' if corpus == 'site-packages' else corpus
        name = 'python' if corpus == 'python' else corpus if corpus == 'site-packages' else Path(corpus).name
        cell = sizes[name] = dict(documents=0, bytes=0)
        for d in read_corpus(spec):
            if not isinstance(d, Document): continue
            if room <= 0:
                for f in files: f.close()
                files,room = [open(folder/kind/f'{n:04}.jsonl', 'w') for kind in ('web', 'all')],per_file
                n += 1
            size = len(d.text.encode())
            for f,more in zip(files, ({}, dict(kind=d.kind))):
                f.write(json.dumps(dict(id=f'{name}/{d.id}', text=d.text, **more), ensure_ascii=False) + '\n')
            room -= size
            cell['documents'] += 1
            cell['bytes'] += size
            if megabytes and cell['bytes'] > megabytes*1e6/len(corpora): break
    for f in files: f.close()
    return sizes

def rows(folder):
    for p in sorted(Path(folder).glob('*.jsonl')):
        with open(p) as f: yield from map(json.loads, f)

def llmbook_arm(texts, out, everything=False, workers=1):
    from llmbook.data import prepare as P
    config = P.PrepareConfig(str(texts)) if everything else P.PrepareConfig(str(texts), stages=('quality', 'dedup'), rules='published', max_chars=10**8)
    from llmbook.data.quality import detect_language
    detect_language('A short text to load the identifier with.')
    times = {}
    def timed(name, f):
        def wrapped(*args, **kwargs):
            t = used()
            try: return f(*args, **kwargs)
            finally: times[name] = times.get(name, 0) + used() - t
        return wrapped
    if workers == 1:
        for name in ('work_chunk', 'survey', 'finish'): setattr(P, name, timed(name, getattr(P, name)))
    t,wall = used(),time.time()
    stats = P.prepare(config, out, progress=False, workers=workers)
    total = used() - t
    left = {r['meta']['id'] for s in P.SPLITS for r in P.read_split(Path(out)/'data', s)}
    parts = {k: round(v/total, 3) for k,v in times.items()}
    if parts: parts['read'] = round(1 - sum(parts.values()), 3)
    return dict(seconds=total, wall=time.time() - wall, shares=parts, refused={r['stage']: sum(c['documents'] for c in r['refused'].values()) for r in stats['funnel']}), left

def datatrove_arm(texts, out, split):
    from loguru import logger
    logger.remove()
    if split:
        import re
        from datatrove.utils import word_tokenizers as W
        class Split(W.WordTokenizer):
            def word_tokenize(self, text): return text.split()
            def sent_tokenize(self, text): return [s for s in re.split(r'(?<=[.!?])\s+', text) if s]
            def span_tokenize(self, text): return [m.span() for m in re.finditer(r'\S.*?[.!?](?=\s|$)', text, re.S)]
        splitter = Split()
        W.load_word_tokenizer = lambda language: splitter
    from datatrove.utils.hashes import xxhash as X
    try: X.xxhash64('a')
    except TypeError:  # xxhash 4 takes no strings, and datatrove 0.10.1 gives it some
        import xxhash
        X.xxhash64 = lambda s: xxhash.xxh64_intdigest(s.encode())
    from datatrove.data import Document
    from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
    from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    if not split: GopherQualityFilter().filter(Document('A short text to load spaCy with.', '0'))
    out = Path(out)
    out.mkdir()
    def read(path):
        with open(path) as f:
            for r in map(json.loads, f): yield Document(r['text'], r['id'])
    def through(steps, data):
        for step in steps: data = step(data, 0, 1)
        return data
    t,wall = used(),time.time()
    filters = [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(filter_no_terminal_punct=False), FineWebQualityFilter(char_duplicates_ratio=.1)]
    passed = 0
    with open(out/'passed.jsonl', 'w') as f:
        docs = through(filters, (d for p in sorted(Path(texts).glob('*.jsonl')) for d in read(p)))
        for d in docs:
            f.write(json.dumps(dict(id=d.id, text=d.text), ensure_ascii=False) + '\n')
            passed += 1
    filtered = used() - t
    for _ in MinhashDedupSignature(str(out/'signatures'))(read(out/'passed.jsonl'), 0, 1) or (): pass
    for b in range(14): MinhashDedupBuckets(str(out/'signatures'), str(out/'buckets')).run(None, b, 14)
    MinhashDedupCluster(str(out/'buckets'), str(out/'remove')).run(None, 0, 1)
    left = set()
    with gzip.open(out/'train.jsonl.gz', 'wt', 6) as f:
        for d in MinhashDedupFilter(str(out/'remove'))(read(out/'passed.jsonl'), 0, 1):
            f.write(json.dumps(dict(id=d.id, text=d.text), ensure_ascii=False) + '\n')
            left.add(d.id)
    total = used() - t
    return dict(seconds=total, wall=time.time() - wall, shares=dict(filters=round(filtered/total, 3), dedup_and_write=round(1 - filtered/total, 3)),
                passed=passed), left

def arm(name, texts, out, workers=1):
    "Run one arm in this process, and print what was measured."
    from llmbook.core import peak_memory
    if name.startswith('llmbook'): numbers,left = llmbook_arm(texts, out, name == 'llmbook_all', workers)
    else: numbers,left = datatrove_arm(texts, out, name == 'datatrove_split')
    Path(f'{out}.left').write_text('\n'.join(sorted(left)))
    print(json.dumps(numbers | dict(left=len(left), peak_memory_mb=round(peak_memory()/1e6))))

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('corpora', nargs='*')
    p.add_argument('--megabytes', type=float, default=100)
    p.add_argument('--out', default=str(Path(__file__).with_suffix('.json')))
    p.add_argument('--arm', nargs=4, help=argparse.SUPPRESS)
    p.add_argument('--skip', default='', help='arms to leave out, with commas between them')
    p.add_argument('--data', default='data', help='how the folder of the files is called in the note of the command')
    args = p.parse_args()
    if args.arm: return arm(args.arm[0], args.arm[1], args.arm[2], int(args.arm[3]))
    from llmbook.core import machine_info, write_json
    results,env = {},{**os.environ, 'OMP_NUM_THREADS': '1'}
    with tempfile.TemporaryDirectory() as d:
        d = Path(d)
        for kind in 'web', 'all': (d/kind).mkdir()
        sizes = write_texts(args.corpora, d, args.megabytes)
        total = sum(c['bytes'] for c in sizes.values())/1e6
        for name,workers in [*((a, 1) for a in ARMS if a not in args.skip.split(',')), ('llmbook_all', 1), ('llmbook_all', os.cpu_count())]:
            label = name if workers == 1 else f'{name}_{workers}_processes'
            done = subprocess.run([sys.executable, __file__, '--arm', name, d/('all' if name == 'llmbook_all' else 'web'), d/label, str(workers)], capture_output=True, text=True, env=env)
            if done.returncode:
                results[label] = dict(failed=done.stderr.strip().splitlines()[-1][:200])
                print(label, results[label])
                continue
            r = results[label] = json.loads(done.stdout.strip().splitlines()[-1])
            r['mb_per_core_second'] = round(total/r.pop('seconds'), 2)
            r['mb_per_second_wall'] = round(total/r.pop('wall'), 2)
            print(label, r, flush=True)
        def left(name): return set((d/f'{name}.left').read_text().split('\n')) if (d/f'{name}.left').exists() else set()
        both = {name: dict(both=len(left('llmbook') & left(name)), llmbook_only=len(left('llmbook') - left(name)), theirs_only=len(left(name) - left('llmbook')))
                for name in ARMS[1:] if left(name)}
    speed = {name: round(results['llmbook']['mb_per_core_second']/results[name]['mb_per_core_second'], 2) for name in ARMS[1:] if 'mb_per_core_second' in results.get(name, {})}
    packages = {}
    for name in ('llmbook', 'datatrove', 'spacy', 'numpy', 'ftfy', 'py3langid'):
        try: packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError: pass
    names = [c if c in ('python', 'site-packages') else f'{args.data}/{Path(c).name}' for c in args.corpora]
    write_json(args.out, dict(command=f'python benchmarks/prepare_speed.py {" ".join(names)} --megabytes {args.megabytes:g}{args.skip and f" --skip {args.skip}"}', megabytes=round(total, 1), texts=sizes,
                              arms=results, llmbook_times_as_fast_as=speed, documents_left=both, machine=machine_info(), packages=packages))
    print(json.dumps(dict(times_as_fast=speed, left=both)))

if __name__ == '__main__': main()
