"""Our models beside transformers' own, same weights, same input, in turns: how many times as fast.

    python benchmarks/model_speed.py

For each family: a forward pass, forward and backward, and greedy decoding of 128 tokens with a cache at batch 1 and 8.
A ratio above one says that ours is faster. Both run on one thread; the median over the turns counts. The load average of
the machine at beginning and end is written down: ratios taken on a busy machine are worth less. Some families alone go
into a file of their own: `--families gpt2 t5 --out part.json`.
"""
import argparse, os, shlex, statistics, sys, tempfile, time, warnings
from pathlib import Path

import torch, transformers
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from llmbook.core import machine_info, read_json, write_json
from llmbook.model import auto
from llmbook.model.encoder import BertConfig, RobertaConfig
from llmbook.model.families import GPT2Config, LlamaConfig, MistralConfig, Qwen3Config, Qwen3MoeConfig
from llmbook.model.t5 import T5Config

SHAPE = dict(vocab_size=8192, hidden_size=384, intermediate_size=1024, num_hidden_layers=6, num_attention_heads=6, num_key_value_heads=2, head_dim=64, max_position_embeddings=512)
CONFIGS = dict(gpt2=GPT2Config(vocab_size=8192, n_embd=384, n_layer=6, n_head=6, n_positions=512, embd_pdrop=0., attn_pdrop=0., resid_pdrop=0.), llama=LlamaConfig(**SHAPE),
    mistral=MistralConfig(**SHAPE, sliding_window=128), qwen3=Qwen3Config(**SHAPE), qwen3_moe=Qwen3MoeConfig(**SHAPE, num_experts=8, num_experts_per_tok=2, moe_intermediate_size=256),
    bert=BertConfig(vocab_size=8192, hidden_size=384, num_hidden_layers=6, num_attention_heads=6, intermediate_size=1536, hidden_dropout_prob=0., attention_probs_dropout_prob=0.),
    roberta=RobertaConfig(vocab_size=8192, hidden_size=384, num_hidden_layers=6, num_attention_heads=6, intermediate_size=1536, hidden_dropout_prob=0., attention_probs_dropout_prob=0.),
    t5=T5Config(vocab_size=8192, d_model=384, d_kv=64, d_ff=1024, num_layers=6, num_heads=6, dropout_rate=0.))


def ratio(theirs, ours, turns):
    "Their time over ours, the median over turns: what slows the machine for seconds slows both of a turn."
    theirs(), ours()
    rows = []
    for i in range(turns):
        t = {}
        for name,f in (('ours', ours), ('theirs', theirs))[::1 if i%2 else -1]:
            start = time.perf_counter()
            f()
            t[name] = time.perf_counter() - start
        rows.append(t)
    return round(statistics.median(r['theirs']/r['ours'] for r in rows), 3)


@torch.no_grad()
def decode_ours(model, prompt, n):
    if not hasattr(model, 'encode'):
        cache,x = model.new_cache(len(prompt), prompt.shape[1] + n),prompt
        step = lambda x: model(x, cache=cache)
    else:
        cache,memory,x = model.new_cache(len(prompt), n + 1),model.encode(prompt),torch.zeros_like(prompt[:,:1])
        step = lambda x: model.decode(x, memory, cache=cache)
    ids = []
    for _ in range(n):
        x = step(x)[:,-1:].argmax(-1)
        ids.append(x)
    return torch.cat(ids, 1)


@torch.no_grad()
def decode_theirs(model, prompt, n):
    past,x,ids = None,prompt,[]
    if model.config.is_encoder_decoder: memory,x = model.get_encoder()(prompt),torch.zeros_like(prompt[:,:1])
    for _ in range(n):
        out = model(encoder_outputs=memory, decoder_input_ids=x, past_key_values=past, use_cache=True) if model.config.is_encoder_decoder else \
            model(x, past_key_values=past, use_cache=True)
        past,x = out.past_key_values,out.logits[:,-1:].argmax(-1)
        ids.append(x)
    return torch.cat(ids, 1)


def keep_whole(out, families):
    "Refuse to put a part of the families in the place of a result that has more."
    if not Path(out).exists(): return
    lost = [name for name in read_json(out).get('times_as_fast', {}) if name not in families]
    if lost: raise SystemExit(f"{out} has rows that this run leaves out ({', '.join(lost)}); name another file with --out.")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--families', nargs='+', default=list(CONFIGS), choices=list(CONFIGS))
    p.add_argument('--turns', type=int, default=9)
    p.add_argument('--out', default=str(Path(__file__).with_suffix('.json')))
    a = p.parse_args()
    keep_whole(a.out, a.families)
    torch.set_num_threads(1)
    load = os.getloadavg()
    disable_progress_bar(), set_verbosity_error(), warnings.simplefilter('ignore')
    rows = {}
    for name in a.families:
        torch.manual_seed(0)
        head = {'bert': 'BertForMaskedLM', 'roberta': 'RobertaForMaskedLM'}.get(name)
        ours = auto.build(CONFIGS[name], head).eval()
        with tempfile.TemporaryDirectory() as d: theirs = getattr(transformers, head or list(auto.FAMILIES[name].heads)[0]).from_pretrained(auto.save(ours, d)).eval()
        ids = torch.randint(2, 8192, (4, 256))
        more = dict(decoder_input_ids=ids[:,:128].clone()) if name == 't5' else {}
        want = theirs(input_ids=ids, **more).logits
        assert (ours(ids, **more) - want).abs().max() < 1e-4, name
        del want
        def forward(model):
            with torch.no_grad(): model(input_ids=ids, **more)
        def both(model):
            out = model(input_ids=ids, **more)
            (out if isinstance(out, torch.Tensor) else out.logits).square().mean().backward()
            model.zero_grad()
        row = rows[name] = dict(forward=ratio(lambda: forward(theirs), lambda: forward(ours), a.turns), forward_backward=ratio(lambda: both(theirs), lambda: both(ours), a.turns))
        for B in (1, 8) if name not in ('bert', 'roberta') else ():
            prompt = torch.randint(2, 8192, (B, 32))
            assert torch.equal(decode_ours(ours, prompt, 20), decode_theirs(theirs, prompt, 20)), name
            row[f'decode_batch_{B}'] = ratio(lambda: decode_theirs(theirs, prompt, 128), lambda: decode_ours(ours, prompt, 128), a.turns)
        print(name, row, flush=True)
    write_json(a.out, dict(command=shlex.join(['python', 'benchmarks/model_speed.py', *(Path(w).name if w==a.out else w for w in sys.argv[1:])]), arguments=vars(a) | dict(out=Path(a.out).name),
        times_as_fast=rows, threads=torch.get_num_threads(), load_average=dict(before=load, after=os.getloadavg()), shape=SHAPE, machine=machine_info(), transformers=transformers.__version__))


if __name__ == '__main__': main()
