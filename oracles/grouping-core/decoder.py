"""Writes tiny Llama folders of Hugging Face with random weights, and the logits that `transformers` computes from them.

Run: python oracles/grouping-core/decoder.py   (writes grouping-core/tests/data/decoder)
"""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

OUT = Path(__file__).resolve().parents[2] / "grouping-core" / "tests" / "data" / "decoder"

CASES = {
    # Fewer key and value heads than query heads, a head of its own, wide heads.
    "grouped": dict(
        num_attention_heads=4, num_key_value_heads=2, head_dim=6, tie_word_embeddings=False, rope_theta=1000.0
    ),
    # As many heads, embedding tied, biases everywhere.
    "tied": dict(
        num_attention_heads=2,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        attention_bias=True,
        mlp_bias=True,
        rope_theta=10000.0,
    ),
}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    for seed, (name, fields) in enumerate(CASES.items()):
        theta = fields.pop("rope_theta")
        config = LlamaConfig(
            vocab_size=11,
            hidden_size=16,
            intermediate_size=20,
            num_hidden_layers=2,
            max_position_embeddings=64,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": theta},
            **fields,
        )
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                # Far from the start values, so that norms, biases and gates all matter.
                parameter.add_(torch.randn_like(parameter) * 0.3)
            tokens = torch.randint(0, config.vocab_size, (3, 21))
            logits = model(tokens).logits
        model.save_pretrained(OUT / name)
        (OUT / name / "generation_config.json").unlink(missing_ok=True)
        expected = {"tokens": tokens.float(), "logits": logits.contiguous()}
        save_file(expected, OUT / name / "expected.safetensors")


if __name__ == "__main__":
    main()
