"""Makes a language model that says what it is told to, without downloading anything. Run where torch is.

Attention and MLP weigh nothing, so what comes next depends on the last token only: each token has the next one
of a script as its successor. The chat template ends with another token after a tool's output than after a
question, so the model first says the first text, and after a tool's output the second. Tokenizer, template,
sampler and streamer are the server's real ones.

    python tiny_model.py FOLDER QUESTION_ANSWER TOOL_ANSWER
"""

from __future__ import annotations

import re
import sys
from itertools import pairwise

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

END = "<|im_end|>"
AFTER_QUESTION = "<|im_start|>assistant\n"
AFTER_TOOL = "<|tool|><|im_start|>assistant\n"
TEMPLATE = """\
{%- for tool in tools or [] %}{{ tool | tojson }}{% endfor %}
{%- for message in messages %}{{ message | tojson }}{% endfor %}
{%- if messages[-1].role == 'tool' %}{{ '<|tool|>' }}{% endif %}{{ '<|im_start|>assistant\\n' }}"""


def pieces(text: str, taken: set[str]) -> list[str]:
    """The text in pieces that are all different: words, longer where one comes again."""
    found: list[str] = []
    piece = ""
    for word in re.findall(r"\s*\S+|\s+$", text):
        piece += word
        if piece not in taken:
            taken.add(piece)
            found.append(piece)
            piece = ""
    if piece:
        raise ValueError(f"the text ends with what came before: {piece!r}")
    return found


def main(folder: str, *texts: str) -> None:
    """Write configuration, weights and tokenizer into a folder."""
    taken: set[str] = set()
    starts = (AFTER_QUESTION, AFTER_TOOL)
    chains = [[start, *pieces(text, taken), END] for start, text in zip(starts, texts, strict=True)]
    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokens = dict.fromkeys(token for chain in chains for token in chain)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in tokens if token != END])
    tokenizer.add_special_tokens([AddedToken(END, normalized=False, special=True)])
    whole = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END, chat_template=TEMPLATE)
    whole.save_pretrained(folder)

    count = (len(whole) + 15) // 16 * 16
    config = Qwen2Config(
        vocab_size=count, hidden_size=count, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, max_position_embeddings=32768, tie_word_embeddings=False,
        eos_token_id=whole.eos_token_id, pad_token_id=whole.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            weights.fill_(1.0 if "norm" in name else 0.0)
        model.model.embed_tokens.weight.copy_(torch.eye(count))
        for chain in chains:
            for token, following in pairwise(chain):
                here, there = whole.convert_tokens_to_ids([token, following])
                model.lm_head.weight[there, here] = 1.0
    model.generation_config.do_sample = False
    model.generation_config.max_new_tokens = 200
    model.save_pretrained(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
