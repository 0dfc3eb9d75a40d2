"""The comparisons of chapter 46: every arm at an equal budget, three seeds, one small model on the same bytes.

    llmbook prepare --preset laptop --run runs/default
    python benchmarks/ablations.py tokenizers compute --run runs/default
    python benchmarks/ablations.py fertility cleaning --prose data/gutenberg_books.jsonl.gz --udhr data/nltk_udhr2.zip --bytes 1000000 --held 200000 --seen 300000
    python benchmarks/ablations.py anatomy --run runs/default --bytes 1000000 --held 200000 --vocab 2048
    python benchmarks/ablations.py anatomy_laptop --run runs/default --bytes 2000000 --held 300000

`--prose` is a file of English books, a document a line; ours are 32 texts of Project Gutenberg, public domain in the US.
`--udhr` is the NLTK package udhr2, the Universal Declaration of Human Rights, a file a language, public domain.

Each finished run is stored in benchmarks/ablations_NAME.json at once, and what is there with the same settings is not run
again: stop it whenever you like, and let several commands with other `--seeds` work side by side. Rows of other settings are left out of the file from the first new row on. Bits per byte do not depend on the clock; `processor_seconds` do, and only ratios of them mean something.
"""
import argparse, contextlib, fcntl, functools, os, time, zipfile
from pathlib import Path

import torch

from llmbook.core import machine_info, read_json, stable_hash, write_json
from llmbook.data.clean import CLASSIC, clean_document, restoration_bits
from llmbook.data.corpus import Document, read_corpus
from llmbook.data.prepare import read_split
from llmbook.tokens import tokenizer as T
from llmbook.train.ablations import classic_arm, run_arm, small_model, take_bytes

HERE = Path(__file__).parent
SPECIAL = '<|endoftext|>', '<|pad|>'
SEEDS = 0, 1, 2
FAMILIES = dict(characters=T.CharTokenizer, words=T.WordTokenizer, bpe=T.BPETokenizer, wordpiece=T.WordPieceTokenizer, unigram=T.UnigramTokenizer)


def store(comparison, rows, command):
    m = machine_info()
    write_json(HERE/f'ablations_{comparison}.json', dict(command=command, machine=f"{m['cpu']}, torch {m['torch']}", rows=rows))


@contextlib.contextmanager
def alone():
    "Keep other commands of this file from writing."
    folder = os.open(HERE, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally: os.close(folder)


def run_all(comparison, arms, command, seeds=SEEDS):
    "Run every `(arm, settings, function)` with every seed that is not stored yet."
    path = HERE/f'ablations_{comparison}.json'
    wanted = [(arm, stable_hash(settings)) for arm,settings,_ in arms]
    def stored():
        rows = read_json(path)['rows'] if path.exists() else []
        kept = [r for r in rows if (r['arm'], r['settings']) in wanted]
        return kept,len(rows) - len(kept)
    if stored()[1]: print(f'{comparison}: {stored()[1]} stored rows have other settings and will be left out', flush=True)
    for seed in seeds:
        for arm,settings,f in arms:
            key = stable_hash(settings)
            if any((r['arm'], r['seed'], r['settings']) == (arm, seed, key) for r in stored()[0]): continue
            t = time.process_time()
            row = f(seed)
            row = dict(arm=arm, seed=seed, settings=key, **row, processor_seconds=round(time.process_time()-t, 1))
            with alone():
                store(comparison, sorted([*stored()[0], row], key=lambda r: (r['seed'], wanted.index((r['arm'], r['settings'])))), command)
            print(f"{comparison}: {arm}, seed {seed}: {row['bpb']:.4f}", flush=True)


@functools.cache
def code_texts(run, n_train, n_held):
    return [take_bytes((r['text'] for r in read_split(Path(run)/'data', s)), n) for s,n in (('train', n_train), ('validation', n_held))]


@functools.cache
def prose_texts(path, n_train, n_held):
    "Cleaned books in pieces; every eighth piece is held out."
    pieces = [d.text for d in map(clean_document, (d for d in read_corpus(path, max_chars=16_000) if isinstance(d, Document))) if isinstance(d, Document)]
    return take_bytes((p for i,p in enumerate(pieces) if i%8), n_train), take_bytes((p for i,p in enumerate(pieces) if i%8 == 0), n_held)


@functools.cache
def trained(family, vocab_size, corpus, *args):
    t = time.process_time()
    made = FAMILIES[family].train((code_texts if corpus == 'code' else prose_texts)(*args)[0], vocab_size, special_tokens=SPECIAL)
    return made, round(time.process_time()-t, 2)


def tokenizers(a):
    for corpus,where in (('code', a.run), ('prose', a.prose)):
        if not where: continue
        arms = []
        for family in FAMILIES:
            for V in a.vocab if family != 'characters' else a.vocab[:1]:
                if family == 'wordpiece' and V < 640: continue  # it starts from 512 entries: each byte at the start of a word, and inside
                args = str(where), a.bytes, a.held
                def one(seed, family=family, V=V, args=args, corpus=corpus):
                    made,seconds = trained(family, V, corpus, *args)
                    texts,held = (code_texts if corpus == 'code' else prose_texts)(*args)
                    row = run_arm(small_model, texts, held, made, seed)
                    again = made.decode_bytes(made.encode(''.join(held[:3]))) == ''.join(held[:3]).encode()
                    return dict(family=family, vocab_size=V, training_seconds=seconds, lossless=again, **row)
                arms.append((f'{family} {V}', dict(family=family, V=V, bytes=a.bytes, held=a.held), one))
        run_all(f'tokenizers_{corpus}', arms, a.command)


def compute(a):
    "Seven of the arms again, each stopped when it has cost what `bpe 2048` cost."
    known = {r['arm']: r for r in read_json(HERE/'ablations_tokenizers_code.json')['rows']}
    args,budget,arms = (str(a.run), a.bytes, a.held),known['bpe 2048']['flops'],[]
    for arm in ('bpe 2048', 'unigram 2048', 'characters 512', 'words 512', 'bpe 8192', 'wordpiece 8192', 'unigram 8192'):
        family,V = known[arm]['family'],known[arm]['vocab_size']
        tokens = min(known[arm]['tokens'], round(budget*known[arm]['tokens']/known[arm]['flops']))
        def one(seed, family=family, V=V, tokens=tokens):
            (texts,held),(made,_) = code_texts(*args),trained(family, V, 'code', *args)
            return dict(family=family, vocab_size=V, read=tokens, **run_arm(small_model, texts, held, made, seed, tokens=tokens))
        arms.append((arm, dict(family=family, V=V, tokens=tokens, bytes=a.bytes, held=a.held), one))
    run_all('tokenizers_compute', arms, a.command)


def fertility(a):
    "Tokens per word of the same declaration in many languages, by tokenizers trained on books and on code."
    with zipfile.ZipFile(a.udhr) as z:
        wanted = {Path(n).stem: z.read(n).decode() for n in sorted(z.namelist()) if Path(n).stem in a.languages}
    rows = []
    for family in FAMILIES:
        V = a.vocab[-1] if family != 'characters' else a.vocab[0]
        made,_ = trained(family, V, 'prose', str(a.prose), a.bytes, a.held)
        for language,text in sorted(wanted.items()):
            n = len(made.encode(text))
            rows.append(dict(family=family, vocab_size=V, language=language, tokens=n, bytes=len(text.encode()), words=len(text.split())))
    store('fertility', rows, a.command)


def cleaning(a):
    texts,held = prose_texts(str(a.prose), a.bytes, a.held)
    known = take_bytes(texts, a.seen)
    restore = functools.cache(lambda steps: sum(restoration_bits(held, steps, known).values()))
    arms = [('none', ())] + [(step, (step,)) for step in CLASSIC] + [('all', tuple(CLASSIC))]
    run_all('cleaning', [(name, dict(steps=steps, bytes=a.bytes, held=a.held, seen=a.seen, V=2048),
                          lambda seed, steps=steps: classic_arm(texts, held, steps, restore(steps), 2048, seed)) for name,steps in arms], a.command)


def anatomy(a, name='anatomy', V=2048, **shape):
    "Parts of the decoder exchanged one at a time, at equal size."
    from llmbook.train.anatomy import equal_size, parts_loss, parts_model
    args = str(a.run), a.bytes, a.held
    (texts,held),(made,_) = code_texts(*args),trained('bpe', V, 'code', *args)
    changes = [dict(positions=p) for p in ('rope', 'alibi', 't5', 'learned', 'sinusoidal', 'none')] + [dict(placement=p) for p in ('post', 'sandwich', 'output')] + \
        [dict(activation=x) for x in ('relu', 'gelu', 'relu_squared')] + [dict(num_key_value_heads=k) for k in (1, 4)] + [dict(qk_norm=False), dict(experts=4, active=1), dict(experts=8, active=2)]
    base,arms = parts_model(made.vocab_size, **shape).config,[]
    for parts in changes:
        width = equal_size(base, **parts).intermediate_size
        longer = (512, 1024) if 'positions' in parts and parts['positions'] != 'learned' else ()
        def one(seed, parts=parts, width=width, longer=longer):
            return run_arm(lambda V, seed: parts_model(V, seed, **shape | parts | dict(intermediate_size=width)), texts, held, made, seed, objective=parts_loss, longer=longer)
        arm = ', '.join(f'{k} {v}' for k,v in parts.items()) if parts != dict(positions='rope') else 'base'
        arms.append((arm, dict(parts=parts, width=width, bytes=a.bytes, held=a.held) | shape, one))
    run_all(name, arms, a.command, a.seeds)


def anatomy_laptop(a):
    "The same with the model and the vocabulary of the preset `laptop`."
    from llmbook.book import get_preset
    model = get_preset('laptop').model
    shape = {k: getattr(model, k) for k in ('hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads', 'num_key_value_heads', 'head_dim')}
    anatomy(a, 'anatomy_laptop', model.vocab_size, **shape)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('comparisons', nargs='+', choices=['tokenizers', 'compute', 'fertility', 'cleaning', 'anatomy', 'anatomy_laptop'])
    p.add_argument('--run', help='a run folder with data/')
    p.add_argument('--prose', help='books, a document a line')
    p.add_argument('--udhr', help='zip of the Universal Declaration of Human Rights, a file a language')
    p.add_argument('--languages', nargs='+', default=['eng', 'fra', 'deu', 'spa', 'fin', 'tur', 'rus', 'ell_monotonic', 'hin', 'jpn', 'cmn_hans'])
    p.add_argument('--vocab', nargs='+', type=int, default=[512, 2048, 8192])
    p.add_argument('--bytes', type=int, default=2_000_000)
    p.add_argument('--held', type=int, default=300_000)
    p.add_argument('--seeds', nargs='+', type=int, default=list(SEEDS), help='of anatomy and anatomy_laptop')
    p.add_argument('--seen', type=int, default=500_000, help='bytes of training text that the code of what cleaning took may learn from')
    a = p.parse_args()
    name = lambda path: path and f'data/{Path(path).name}'
    a.command = ' '.join(x for x in ['python benchmarks/ablations.py', *a.comparisons, '--run runs/default' if a.run else '', f'--prose {name(a.prose)}' if a.prose else '',
                                     f'--udhr {name(a.udhr)}' if a.udhr else '', f'--vocab {" ".join(map(str, a.vocab))} --bytes {a.bytes} --held {a.held} --seen {a.seen}'] if x)
    torch.set_num_threads(1)
    for c in a.comparisons: globals()[c](a)


if __name__ == '__main__': main()
