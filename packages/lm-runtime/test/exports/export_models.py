"""Makes the small ONNX models of the tests with torch.onnx.export (torch 1.13.1), and torch's own results for them.

    python3 export_models.py

For NAME.onnx there is NAME.json: input ids [rows][width], the natural log-probability of the next token at each position
but the last, and the outputs of some modules, as nested lists.
"""

import json
import math
import os

import torch
from torch import nn
from torch.nn import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
VOCABULARY = 61
ROWS, WIDTH = 3, 7


class Conv1D(nn.Module):
    """GPT-2's linear layer: the weight is stored transposed, and the batch is flattened."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) / math.sqrt(inputs))
        self.bias = nn.Parameter(0.1 * torch.randn(outputs))
        self.outputs = outputs

    def forward(self, x):
        shape = x.size()[:-1] + (self.outputs,)
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(shape)


class GptAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.c_attn = Conv1D(width, 3 * width)
        self.c_proj = Conv1D(width, width)

    def forward(self, x, mask):
        b, t, c = x.shape
        q, k, v = (y.view(b, t, self.heads, -1).transpose(1, 2) for y in self.c_attn(x).split(c, dim=2))
        scores = q @ k.transpose(-1, -2) / math.sqrt(c // self.heads)
        y = torch.softmax(scores + mask, dim=-1) @ v
        return self.c_proj(y.transpose(1, 2).reshape(b, t, c))


class GptMlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc = Conv1D(width, 4 * width)
        self.c_proj = Conv1D(4 * width, width)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class GptBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = GptAttention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = GptMlp(width)

    def forward(self, x, mask):
        x = x + self.attn(self.ln_1(x), mask)
        return x + self.mlp(self.ln_2(x))


def causal_mask(t):
    steps = torch.arange(t)
    return (steps[None, :] > steps[:, None]).float() * -1e9


class GptBody(nn.Module):
    def __init__(self, width, heads, layers, positions):
        super().__init__()
        self.wte = nn.Embedding(VOCABULARY, width)
        self.wpe = nn.Embedding(positions, width)
        self.h = nn.ModuleList([GptBlock(width, heads) for _ in range(layers)])
        self.ln_f = nn.LayerNorm(width)

    def forward(self, input_ids, attention_mask=None):
        t = input_ids.shape[1]
        x = self.wte(input_ids) + self.wpe(torch.arange(t))
        mask = causal_mask(t)
        if attention_mask is not None:
            mask = mask + (1.0 - attention_mask[:, None, None, :].float()) * -1e9
        for block in self.h:
            x = block(x, mask)
        return self.ln_f(x)


class Gpt(nn.Module):
    """GPT-2: learned positions, tied output layer."""

    def __init__(self, width=16, heads=2, layers=3, positions=24):
        super().__init__()
        self.transformer = GptBody(width, heads, layers, positions)
        self.lm_head = nn.Linear(width, VOCABULARY, bias=False)
        self.lm_head.weight = self.transformer.wte.weight

    def forward(self, input_ids, attention_mask=None):
        return self.lm_head(self.transformer(input_ids, attention_mask))


class PlainGpt(nn.Module):
    """The modules lie in a dictionary that is never called, so that its name is in no scope."""

    def __init__(self, width=16, heads=2, layers=2):
        super().__init__()
        body = GptBody(width, heads, layers, 24)
        self.transformer = nn.ModuleDict(dict(wte=body.wte, wpe=body.wpe, h=body.h, ln_f=body.ln_f))
        self.lm_head = nn.Linear(width, VOCABULARY, bias=True)

    def forward(self, input_ids):
        t = input_ids.shape[1]
        x = self.transformer.wte(input_ids) + self.transformer.wpe(torch.arange(t))
        mask = causal_mask(t)
        for block in self.transformer.h:
            x = block(x, mask)
        return self.lm_head(self.transformer.ln_f(x))


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(1 + 0.1 * torch.randn(width))

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


def rotate(x, positions):
    half = x.shape[-1] // 2
    frequencies = 10000.0 ** (-torch.arange(half).float() / half)
    angles = positions[:, None, :, None].float() * frequencies
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], dim=-1)


class LlamaAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(width, width, bias=False))

    def forward(self, x, mask, positions, past):
        b, t, c = x.shape
        q, k, v = (
            projection(x).view(b, t, self.heads, -1).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate(q, positions), rotate(k, positions)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        scores = q @ k.transpose(-1, -2) / math.sqrt(c // self.heads)
        y = torch.softmax(scores + mask, dim=-1) @ v
        return self.o_proj(y.transpose(1, 2).reshape(b, t, c)), k, v


class LlamaMlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gate_proj = nn.Linear(width, 2 * width, bias=False)
        self.up_proj = nn.Linear(width, 2 * width, bias=False)
        self.down_proj = nn.Linear(2 * width, width, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class LlamaLayer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.self_attn = LlamaAttention(width, heads)
        self.mlp = LlamaMlp(width)
        self.input_layernorm = RmsNorm(width)
        self.post_attention_layernorm = RmsNorm(width)

    def forward(self, x, mask, positions, past):
        y, k, v = self.self_attn(self.input_layernorm(x), mask, positions, past)
        x = x + y
        return x + self.mlp(self.post_attention_layernorm(x)), k, v


class LlamaBody(nn.Module):
    def __init__(self, width, heads, layers):
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, width)
        self.layers = nn.ModuleList([LlamaLayer(width, heads) for _ in range(layers)])
        self.norm = RmsNorm(width)

    def forward(self, input_ids, attention_mask, position_ids, past):
        x = self.embed_tokens(input_ids)
        t, total = input_ids.shape[1], attention_mask.shape[1]
        rows = torch.arange(t)[:, None] + (total - t)
        mask = (torch.arange(total)[None, :] > rows).float() * -1e9
        mask = mask[None, None] + (1.0 - attention_mask[:, None, None, :].float()) * -1e9
        present = []
        for layer, pair in zip(self.layers, past or [None] * len(self.layers)):
            x, k, v = layer(x, mask, position_ids, pair)
            present += [k, v]
        return self.norm(x), present


class Llama(nn.Module):
    """LLaMA as Optimum exports it: rotary positions, RMS norms, keys and values of the past."""

    def __init__(self, width=16, heads=2, layers=2):
        super().__init__()
        self.heads, self.width, self.count = heads, width, layers
        self.model = LlamaBody(width, heads, layers)
        self.lm_head = nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, input_ids, attention_mask, position_ids, *past):
        pairs = [past[i : i + 2] for i in range(0, len(past), 2)]
        x, present = self.model(input_ids, attention_mask, position_ids, pairs)
        return (self.lm_head(x), *present)

    def empty_past(self, rows):
        return [torch.zeros(rows, self.heads, 0, self.width // self.heads) for _ in range(2 * self.count)]


def capture(model, run):
    """Outputs of all modules of a run, by name."""
    outputs, handles = {}, []
    for name, module in model.named_modules():
        def keep(_module, _inputs, output, name=name):
            outputs[name] = output[0] if isinstance(output, tuple) else output

        handles.append(module.register_forward_hook(keep))
    logits = run()
    for handle in handles:
        handle.remove()
    return outputs, logits


def rounded(tensor):
    return [[[float(f"{x:.7g}") for x in row] for row in rows] for rows in tensor.tolist()]


def export(name, model, inputs, opset, modules, dynamic_past=(), ids_type=torch.int64):
    model.eval()
    ids = torch.randint(2, VOCABULARY, (ROWS, WIDTH)).to(ids_type)
    names, extras, axes = ["input_ids"], [], {"input_ids": {0: "batch", 1: "sequence"}}
    if "attention_mask" in inputs:
        names.append("attention_mask")
        extras.append(torch.ones(ROWS, WIDTH, dtype=torch.int64))
        axes["attention_mask"] = {0: "batch", 1: "total"}
    if "position_ids" in inputs:
        names.append("position_ids")
        extras.append(torch.arange(WIDTH).repeat(ROWS, 1))
        axes["position_ids"] = {0: "batch", 1: "sequence"}
    outputs = ["logits"]
    if "present" in inputs:
        outputs += [f"present.{i}.{kind}" for i in range(model.count) for kind in ("key", "value")]
    if "past" in inputs:
        past = model.empty_past(ROWS)
        for i in range(len(past)):
            kind = "key" if i % 2 == 0 else "value"
            names.append(f"past_key_values.{i // 2}.{kind}")
            axes[names[-1]] = {0: "batch", 2: "past"}
            outputs.append(f"present.{i // 2}.{kind}")
        extras += past
    with torch.no_grad():
        captured, result = capture(model, lambda: model(ids, *extras))
        logits = result[0] if isinstance(result, tuple) else result
        log_probs = torch.log_softmax(logits.float(), dim=-1)
        targets = log_probs[:, :-1].gather(2, ids[:, 1:, None].long())[..., 0]
        torch.onnx.export(
            model,
            (ids, *extras),
            os.path.join(HERE, f"{name}.onnx"),
            input_names=names,
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=opset,
        )
    golden = {
        "command": "python3 export_models.py",
        "torch": torch.__version__,
        "opset": opset,
        "ids": ids.tolist(),
        "targetLogProbs": [[float(f"{x:.7g}") for x in row] for row in targets.tolist()],
        "modules": {module: rounded(captured[module]) for module in modules},
    }
    with open(os.path.join(HERE, f"{name}.json"), "w") as file:
        json.dump(golden, file)


if __name__ == "__main__":
    torch.manual_seed(1)
    gpt_modules = ["transformer.wte", "transformer.h.0.mlp", "transformer.h.2.ln_2", "transformer.h.2.attn.c_proj"]
    gpt_modules += ["transformer.h.1", "transformer.ln_f"]
    export("gpt2.opset13", Gpt(), [], 13, gpt_modules)
    export("gpt2.mask.opset14", Gpt(), ["attention_mask"], 14, gpt_modules)
    plain = ["transformer.h.0.ln_1", "transformer.h.1.mlp.c_fc", "transformer.ln_f"]
    export("plain.int32.opset17", PlainGpt(), [], 17, plain, ids_type=torch.int32)
    llama_modules = ["model.layers.1.mlp", "model.layers.0.post_attention_layernorm", "model.layers.1", "model.norm"]
    llama = Llama()
    export("llama.past.opset17", llama, ["attention_mask", "position_ids", "past"], 17, llama_modules)
    export("llama.past.opset13", Llama(), ["attention_mask", "position_ids", "past"], 13, llama_modules)
    # The same model without a past: together they are the two branches of a merged decoder.
    export("llama.first.opset17", llama, ["attention_mask", "position_ids", "present"], 17, llama_modules)
