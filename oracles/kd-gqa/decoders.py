"""Writes tiny random folders of the Llama family, what `transformers` computes from them, and two tokenizers.

Run: python oracles/kd-gqa/decoders.py   (writes kd-gqa/tests/data/decoders)

Each folder holds a model, and in expected.safetensors (f32 but for the weights' type): tokens [2, 13], their logits [2, 13, vocab], and
16 tokens by which `generate` continues the first five of row 0, greedily.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

OUT = Path(__file__).resolve().parents[2] / "kd-gqa" / "tests" / "data" / "decoders"
VOCAB, HIDDEN, FFN, LAYERS, PROMPT, NEW = 48, 16, 24, 2, 5, 16
DEFAULT = {"rope_type": "default", "rope_theta": 10000.0}

CASES = {
    # Stretched frequencies (kept, mixed and slow ones), biases on all four, heads wider than hidden / heads.
    "llama3": (
        LlamaConfig,
        LlamaForCausalLM,
        torch.float32,
        dict(
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            attention_bias=True,
            tie_word_embeddings=True,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 500.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 24,
            },
        ),
    ),
    # One key head, a head of its own, several files of bf16.
    "sharded": (
        LlamaConfig,
        LlamaForCausalLM,
        torch.bfloat16,
        dict(
            num_attention_heads=4, num_key_value_heads=1, tie_word_embeddings=False, rope_parameters=DEFAULT
        ),
    ),
    # A window shorter than the sequence.
    "mistral": (
        MistralConfig,
        MistralForCausalLM,
        torch.float32,
        dict(
            num_attention_heads=4,
            num_key_value_heads=2,
            sliding_window=5,
            tie_word_embeddings=False,
            rope_parameters=DEFAULT,
        ),
    ),
    # f16, a window that is switched off.
    "qwen2": (
        Qwen2Config,
        Qwen2ForCausalLM,
        torch.float16,
        dict(
            num_attention_heads=4,
            num_key_value_heads=2,
            use_sliding_window=False,
            sliding_window=3,
            tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
    ),
    # A window in the second layer alone.
    "qwen2-window": (
        Qwen2Config,
        Qwen2ForCausalLM,
        torch.float32,
        dict(
            num_attention_heads=4,
            num_key_value_heads=4,
            use_sliding_window=True,
            sliding_window=4,
            max_window_layers=1,
            tie_word_embeddings=False,
            rope_parameters=DEFAULT,
        ),
    ),
}


def write_model(seed, name, config_class, model_class, dtype, fields):
    config = config_class(
        vocab_size=VOCAB,
        hidden_size=HIDDEN,
        intermediate_size=FFN,
        num_hidden_layers=LAYERS,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        bos_token_id=1,
        eos_token_id=2,
        attn_implementation="eager",
        **fields,
    )
    torch.manual_seed(seed)
    model = model_class(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # Far from the start values, so that norms, biases and gates all matter; as the file will hold them.
            parameter.add_(torch.randn_like(parameter) * 0.3)
            parameter.copy_(parameter.to(dtype).float())
        tokens = torch.randint(3, VOCAB, (2, 13))
        logits = model(tokens).logits
        prompt = tokens[:1, :PROMPT]
        greedy = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=NEW,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )[0, PROMPT:]
        # Greedy text is a golden only where no choice is close.
        whole = torch.cat([prompt[0], greedy])[None]
        best = model(whole).logits[0, PROMPT - 1 : -1].topk(2).values
        assert (best[:, 0] - best[:, 1]).min() > 5e-3, (name, (best[:, 0] - best[:, 1]).min())
    folder = OUT / name
    model.to(dtype).save_pretrained(folder, max_shard_size="4KB" if name == "sharded" else "1GB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    expected = {"tokens": tokens.float(), "logits": logits.contiguous(), "greedy": greedy.float()}
    save_file(expected, folder / "expected.safetensors")


CORPUS = [
    "once upon a time there was a little girl named lily",
    "she loved to play outside in the park with her friend",
    "the end of the story is that they all lived happily",
]
TEXTS = ["once upon a time", "lily loved the park", "a  story ", "", "zebra quiz", "the end"]


def write_tokenizers():
    """One of pieces in the manner of Llama's, as small as the models, and one of bytes in the manner of GPT-2's and Qwen's."""
    pieces = Tokenizer(models.BPE(unk_token="<unk>"))
    pieces.pre_tokenizer = pre_tokenizers.Metaspace()
    pieces.decoder = decoders.Metaspace()
    special = ["<unk>", "<s>", "</s>"]
    pieces.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=special))
    pieces.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    pieces.save(str(OUT / "llama3" / "tokenizer.json"))

    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet)
    plain.train_from_iterator(CORPUS, trainer)
    plain.save(str(OUT / "bytes.json"))

    texts = []
    for name, tokenizer, more in [
        ("llama3/tokenizer.json", pieces, []),
        ("bytes.json", plain, ["Grüße, 世界! 🙂\n\tx", "it's 2026<|endoftext|>"]),
    ]:
        for text in TEXTS + more:
            ids = tokenizer.encode(text).ids
            texts.append({"tokenizer": name, "text": text, "ids": ids, "decoded": tokenizer.decode(ids)})
    (OUT / "texts.json").write_text(json.dumps(texts, ensure_ascii=False, indent=1) + "\n")


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    for seed, (name, case) in enumerate(CASES.items()):
        write_model(seed, name, *case)
    write_tokenizers()


if __name__ == "__main__":
    main()
