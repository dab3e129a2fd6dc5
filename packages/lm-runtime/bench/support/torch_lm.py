"""The same model in torch, written as fairseq's decoder computes it: prints processor seconds for one window as JSON."""

import argparse
import json
import time

import torch
from torch.nn import functional as F

WIDTH, D, FFN, LAYERS, HEADS = 3072, 1024, 4096, 16, 8
CUTOFFS, FACTOR = [20000, 60000, 267744], 4


def linear(outputs, inputs):
    return torch.randn(outputs, inputs) * inputs**-0.5, torch.zeros(outputs)


def make_model():
    starts = [0] + CUTOFFS[:-1]
    tables = [torch.randn(end - start, D // FACTOR**i) * 0.03 for i, (start, end) in enumerate(zip(starts, CUTOFFS))]
    projections = [torch.randn(D, D // FACTOR**i) * (D // FACTOR**i) ** -0.5 for i in range(len(CUTOFFS))]
    layers = [
        {**{name: linear(D, D) for name in "qkvo"}, "fc1": linear(FFN, D), "fc2": linear(D, FFN)}
        for _ in range(LAYERS)
    ]
    return tables, projections, layers, torch.randn(len(CUTOFFS) - 1, D) * D**-0.5


def attention(x, layer, mask):
    """fairseq's MultiheadAttention: [T, 1, D], all heads in one batched product."""
    head = D // HEADS
    q, k, v = (F.linear(x, *layer[name]) for name in "qkv")
    q, k, v = ((y * (head**-0.5 if y is q else 1)).view(WIDTH, HEADS, head).transpose(0, 1) for y in (q, k, v))
    weights = torch.softmax(torch.bmm(q, k.transpose(1, 2)) + mask, dim=-1)
    y = torch.bmm(weights, v).transpose(0, 1).reshape(WIDTH, 1, D)
    return F.linear(y, *layer["o"])


def transformer(tokens, model, positions, mask):
    tables, projections, layers, _ = model
    x = torch.zeros(WIDTH, D)
    start = 0
    for table, projection, end in zip(tables, projections, CUTOFFS):
        inside = (tokens >= start) & (tokens < end)
        x[inside] = F.linear(F.embedding(tokens[inside] - start, table), projection)
        start = end
    x = (x * D**0.5 + positions)[:, None, :]
    for layer in layers:
        x = x + attention(F.layer_norm(x, (D,)), layer, mask)
        x = x + F.linear(F.relu(F.linear(F.layer_norm(x, (D,)), *layer["fc1"])), *layer["fc2"])
    return x[:, 0]


def target_log_probs(features, targets, model, rows_together=1024):
    """fairseq's AdaptiveSoftmax.get_log_prob: the whole distribution of the bands that the targets lie in."""
    tables, projections, _, classes = model
    result = []
    for rows, wanted in zip(features.split(rows_together), targets.split(rows_together)):
        head = torch.log_softmax(F.linear(rows, torch.cat([tables[0], classes])), dim=-1)
        log_probs = torch.zeros(len(rows), CUTOFFS[-1])
        log_probs[:, : CUTOFFS[0]] = head[:, : CUTOFFS[0]]
        for i, (start, end) in enumerate(zip(CUTOFFS, CUTOFFS[1:])):
            inside = ((wanted >= start) & (wanted < end)).nonzero()[:, 0]
            narrow = F.linear(rows[inside], projections[i + 1].t())
            tail = torch.log_softmax(F.linear(narrow, tables[i + 1]), dim=-1)
            log_probs[inside, start:end] = tail + head[inside, CUTOFFS[0] + i, None]
        result.append(log_probs.gather(1, wanted[:, None])[:, 0])
    return torch.cat(result)


def timed(run):
    cpu, wall = time.process_time(), time.perf_counter()
    result = run()
    return result, {"cpuSeconds": time.process_time() - cpu, "seconds": time.perf_counter() - wall}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    model = make_model()
    ids = (4 + (CUTOFFS[-1] - 4) ** torch.rand(WIDTH + 1) - 1).long()
    mask = torch.full((WIDTH, WIDTH), float("-inf")).triu(1)
    positions = torch.randn(WIDTH, D)
    with torch.no_grad():
        features, layers = timed(lambda: transformer(ids[:-1], model, positions, mask))
        scores, softmax = timed(lambda: target_log_probs(features, ids[1:], model))
    assert torch.isfinite(scores).all()
    both = {key: layers[key] + softmax[key] for key in layers}
    print(json.dumps({"version": torch.__version__, "transformer": layers, "softmax": softmax, **both}))
