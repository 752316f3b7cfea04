"""Opens what `kd-gqa convert` writes in timm, transformers and torch, and compares the logits with a computation of its own.

    OMP_NUM_THREADS=1 open_exports.py KD_GQA    KD_GQA: the binary

For each library a small random model is saved, converted by the binary and opened by the library again: vision transformers with
--expand, decoders of the Llama family with their heads grouped. The other side never sees the converted file: it is the source model
itself, whose key and value heads are replaced in place by what each group is pooled to (the groups are those that the binary's report
lists). Both must give the same logits: within 1e-5 of the largest in f32, and within 2e-2 in bf16, where pooled heads are rounded.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import timm
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    ViTConfig,
    ViTForImageClassification,
)

OPTIONS = [
    ["--kv-heads", "3"],
    ["--kv-heads", "2", "--grouping", "similarity"],
    ["--kv-heads", "1", "--pool", "first"],
    ["--kv-heads", "4", "--ragged", "--grouping", "similarity"],
]
worst = 0.0


def convert(binary, source, out, *options):
    command = [binary, "convert", str(source), "-o", str(out), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])


def pool(weight, members, n_heads, rule):
    """Each head of `weight [n·hd, …]` replaced by what its group is pooled to."""
    heads = weight.float().unflatten(0, (n_heads, -1)).clone()
    for group in members:
        one = heads[group[0]].clone() if rule == "first" else heads[group].mean(0)
        heads[group] = one
    return heads.flatten(0, 1).to(weight.dtype)


def compare(name, ours, reference, tolerance):
    global worst
    gap = ((ours - reference).abs().max() / reference.abs().max()).item()
    worst = max(worst, gap) if tolerance < 1e-3 else worst
    print(f"{name:<70} {gap:.1e}")
    assert gap <= tolerance, f"{name}: {gap}"


def rule(options):
    return "first" if "first" in options else "mean"


@torch.no_grad()
def timm_models(binary, folder):
    sizes = dict(img_size=32, patch_size=8, embed_dim=48, depth=3, num_heads=6, num_classes=7)
    source = timm.models.vision_transformer.VisionTransformer(**sizes).eval()
    for parameter in source.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    state = {k: v.contiguous().clone() for k, v in source.state_dict().items()}
    save_file(state, folder / "timm.safetensors")
    torch.save({"model": state}, folder / "timm.pth")
    x = torch.randn(4, 3, 32, 32)
    for i, options in enumerate(OPTIONS):
        out = folder / f"timm-{i}.safetensors"
        origin = folder / ("timm.pth" if i % 2 else "timm.safetensors")
        report = convert(binary, origin, out, "--heads", "6", "--expand", *options)
        wanted = dict(state)
        for layer, said in enumerate(report["layers"]):
            for part in ["weight", "bias"]:
                name = f"blocks.{layer}.attn.qkv.{part}"
                q, k, v = state[name].chunk(3)
                pooled = [pool(m, said["members"], 6, rule(options)) for m in (k, v)]
                wanted[name] = torch.cat([q, *pooled])
        model = timm.models.vision_transformer.VisionTransformer(**sizes).eval()
        model.load_state_dict(load_file(out), strict=True)
        source.load_state_dict(wanted)
        compare(f"timm {' '.join(options)}", model(x), source(x), 1e-5)
        source.load_state_dict(state)


@torch.no_grad()
def hugging_face_models(binary, folder):
    config = ViTConfig(
        hidden_size=48, num_hidden_layers=3, num_attention_heads=6, intermediate_size=64, image_size=32,
        patch_size=8, num_labels=7,
    )
    source = ViTForImageClassification(config).eval()
    for parameter in source.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    source.save_pretrained(folder / "hf")
    memory = {k: v.contiguous().clone() for k, v in source.state_dict().items()}
    save_file(memory, folder / "hf-memory.safetensors")
    x = torch.randn(4, 3, 32, 32)
    for i, options in enumerate(OPTIONS):
        # On disk with the old names, and with the names that version 5 has in memory.
        for origin, extra in [(folder / "hf", []), (folder / "hf-memory.safetensors", ["--heads", "6"])]:
            out = folder / f"{origin.name}-{i}/model.safetensors"
            report = convert(binary, origin, out, "--expand", *extra, *options)
            wanted = dict(memory)
            for layer, said in enumerate(report["layers"]):
                for side in ["k", "v"]:
                    for part in ["weight", "bias"]:
                        name = f"vit.layers.{layer}.attention.{side}_proj.{part}"
                        wanted[name] = pool(memory[name], said["members"], 6, rule(options))
            config.save_pretrained(out.parent)
            model, loading = ViTForImageClassification.from_pretrained(out.parent, output_loading_info=True)
            assert not loading["missing_keys"] and not loading["unexpected_keys"], loading
            source.load_state_dict(wanted)
            compare(f"transformers ViT {origin.name} {' '.join(options)}", model.eval()(x).logits, source(x).logits, 1e-5)
            source.load_state_dict(memory)


@torch.no_grad()
def torch_models(binary, folder):
    def made():
        layer = torch.nn.TransformerEncoderLayer(48, 6, 64, batch_first=True, dropout=0.0)
        return torch.nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).eval()

    source = made()
    for parameter in source.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    state = {k: v.clone() for k, v in source.state_dict().items()}
    torch.save(state, folder / "torch.pth")
    x = torch.randn(4, 9, 48)
    for i, options in enumerate(OPTIONS):
        out = folder / f"torch-{i}.safetensors"
        report = convert(binary, folder / "torch.pth", out, "--heads", "6", "--expand", *options)
        wanted = dict(state)
        for layer, said in enumerate(report["layers"]):
            for part in ["weight", "bias"]:
                name = f"layers.{layer}.self_attn.in_proj_{part}"
                q, k, v = state[name].chunk(3)
                pooled = [pool(m, said["members"], 6, rule(options)) for m in (k, v)]
                wanted[name] = torch.cat([q, *pooled])
        model = made()
        model.load_state_dict(load_file(out), strict=True)
        source.load_state_dict(wanted)
        compare(f"torch TransformerEncoder {' '.join(options)}", model(x), source(x), 1e-5)
        source.load_state_dict(state)


@torch.no_grad()
def decoders(binary, folder):
    sizes = dict(
        hidden_size=48, num_hidden_layers=3, num_attention_heads=6, intermediate_size=64, vocab_size=50,
        max_position_embeddings=64,
    )
    families = [
        ("llama", LlamaForCausalLM, LlamaConfig(**sizes, num_key_value_heads=6, head_dim=16)),
        ("llama-gqa", LlamaForCausalLM, LlamaConfig(**sizes, num_key_value_heads=3)),
        ("mistral", MistralForCausalLM, MistralConfig(**sizes, num_key_value_heads=6, sliding_window=None)),
        ("qwen2", Qwen2ForCausalLM, Qwen2Config(**sizes, num_key_value_heads=6)),
    ]
    tokens = torch.randint(0, 50, (2, 20))
    for name, kind, config in families:
        for dtype, tolerance in [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)]:
            source = kind(config).eval()
            for parameter in source.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
            source = source.to(dtype)
            origin = folder / f"{name}-{dtype}"
            source.save_pretrained(origin, max_shard_size="30KB")
            assert len(list(origin.glob("*.safetensors"))) > 1, "several shards"
            n = config.num_key_value_heads
            state = {k: v.clone() for k, v in source.state_dict().items()}
            cases = [["--kv-heads", "1"]]
            if n == 6:
                cases += [*OPTIONS[:3], ["--kv-heads", "4", "--ragged", "--uniformise"]]
            for i, options in enumerate(cases):
                out = folder / f"{name}-{dtype}-{i}"
                report = convert(binary, origin, out, *options)
                wanted = dict(state)
                for layer, said in enumerate(report["layers"]):
                    for side in ["k", "v"]:
                        for part in ["weight", "bias"]:
                            key = f"model.layers.{layer}.self_attn.{side}_proj.{part}"
                            if key in state:
                                wanted[key] = pool(state[key], said["members"], n, rule(options))
                model, loading = kind.from_pretrained(out, dtype=dtype, output_loading_info=True)
                assert not loading["missing_keys"] and not loading["unexpected_keys"], loading
                assert model.config.num_key_value_heads == len(report["layers"][0]["groups"]), "the configuration"
                source.load_state_dict(wanted)
                # Compared in f32, so that what differs is what was written.
                ours, reference = (m.eval().float()(tokens).logits for m in (model, source))
                source = source.to(dtype)
                source.load_state_dict(state)
                compare(f"transformers {name} {dtype} {' '.join(options)}", ours, reference, tolerance)
            ragged = ["--kv-heads", str(n - 1), "--ragged"]
            convert(binary, origin, folder / f"{name}-{dtype}-ragged", *ragged)
            try:
                kind.from_pretrained(folder / f"{name}-{dtype}-ragged")
            except Exception:  # noqa: BLE001
                print(f"transformers {name} {dtype} {' '.join(ragged)}: refused, as it must be")
            else:
                raise AssertionError("unequal groups were opened as equal ones")


def main():
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    binary = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        timm_models(binary, folder)
        hugging_face_models(binary, folder)
        torch_models(binary, folder)
        decoders(binary, folder)
    print(f"all equal; in f32 the largest relative difference is {worst:.1e}")


if __name__ == "__main__":
    main()
