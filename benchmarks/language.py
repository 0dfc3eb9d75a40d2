"""Train the page's language classifier on some articles of a declaration in 28 languages, and compare it with py3langid on the others.

    python benchmarks/language.py data/udhr2.zip

Paragraphs of the Universal Declaration of Human Rights (the NLTK package udhr2: one file a language, public domain) are dealt
by their place in the text: the first two thirds train, the rest is held out, so that no article is on both sides.
Both classifiers see the same held-out lines, whole and cut, in one process. Rewrites benchmarks/language.json.
"""
import argparse, time, zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from py3langid.langid import LanguageIdentifier, MODEL_FILE

from llmbook.core import machine_info, write_json
from llmbook.data.filters import cut_text, train_language

FILES = dict(ar='arb', bg='bul', ca='cat', cs='ces', da='dan', de='deu_1996', el='ell_monotonic', en='eng', es='spa', et='est',
             fi='fin', fr='fra', he='heb', hi='hin', hr='hrv', hu='hun', id='ind', it='ita', ja='jpn', ko='kor', lt='lit',
             nl='nld', pl='pol', pt='por_PT', ru='rus', sv='swe', tr='tur', uk='ukr')


def paragraphs(archive, name):
    "The paragraphs of one file that have at least 40 bytes."
    lines = (' '.join(line.split()) for line in archive.read(name).decode('utf-8').splitlines())
    return [line for line in lines if len(line.encode()) >= 40]


def read(path):
    "Training and held-out paragraphs of each language."
    archive = zipfile.ZipFile(path)
    have = {Path(n).stem: n for n in archive.namelist()}
    train,held = {},{}
    for code,stem in FILES.items():
        name = have.get(stem) or have.get(stem.split('_')[0])
        if not name: continue
        ps = paragraphs(archive, name)
        train[code],held[code] = ps[:2*len(ps)//3],ps[2*len(ps)//3:]
    return train,held


def trial(classify, pairs):
    "Share right, seconds, and the most frequent errors."
    start = time.perf_counter()
    got = [classify(text)[0] for text,_ in pairs]
    spent = time.perf_counter() - start
    wrong = {}
    for g,(_,c) in zip(got, pairs):
        if g != c: wrong[f'{c} taken for {g}'] = wrong.get(f'{c} taken for {g}', 0) + 1
    return np.mean([g == c for g,(_,c) in zip(got, pairs)]), spent, sorted(wrong.items(), key=lambda x: -x[1])[:5]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('path', help='udhr2.zip')
    p.add_argument('--bits', type=int, nargs='+', default=[12, 14, 16, 18], help='buckets tried, as powers of two')
    a = p.parse_args()
    train,held = read(a.path)
    known = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    told = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    told.set_languages(list(train))
    sets = {'whole paragraphs': [(t, c) for c,ts in held.items() for t in ts]}
    sets |= {f'pieces of {n} characters': [(t, c) for c,ts in held.items() for x in ts for t in cut_text(x, n)] for n in (40, 20)}
    models,seconds = {},{}
    for bits in a.bits:
        start = time.perf_counter()
        models[f'2^{bits} buckets'] = train_language(train, bits=bits).classify
        seconds[f'2^{bits} buckets'] = time.perf_counter() - start
    models |= {'py3langid, 97 languages': known.classify, 'py3langid, told these': told.classify}
    rows = []
    for name,pairs in sets.items():
        found = {m: trial(classify, pairs) for m,classify in models.items()}
        base = found['py3langid, 97 languages'][1]
        rows += [dict(set=name, lines=len(pairs), model=m, accuracy=round(float(acc), 4), time_relative=round(s/base, 2),
                      milliseconds_a_line=round(1000*s/len(pairs), 3), errors=err) for m,(acc,s,err) in found.items()]
    size = sum(len(t.encode()) for ts in train.values() for t in ts)
    command = f'python benchmarks/language.py data/{Path(a.path).name.removeprefix("nltk_")}'
    write_json(Path(__file__).with_suffix('.json'), dict(command=command, details=machine_info(), versions={m: version(m) for m in ('numpy', 'py3langid')},
        note='trained and held out are parts of one text in each language; py3langid was trained on other texts',
        languages=list(train), train_bytes=size, train_seconds={k: round(v, 2) for k,v in seconds.items()}, rows=rows))
    for r in rows: print(r['set'], r['lines'], r['model'], r['accuracy'], r['time_relative'], r['errors'][:2])


if __name__ == '__main__': main()
