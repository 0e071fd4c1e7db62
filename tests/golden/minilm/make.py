"""Writes figures.json: the vectors that transformers 5.24.0 with PyTorch makes of some texts, in f32, by the mean over the positions, of length 1.

    python make.py models/sre-embedding-model
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer

TEXTS = [
    "The cat sits outside",
    "A man is playing guitar",
    "The new movie is so great",
    "pod init container keeps crashing before main container starts",
    "Ein Hund läuft – naïve café 你好, tokenization!",
    "The dog plays in the garden. " * 20,
]

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModel.from_pretrained(sys.argv[1], dtype=torch.float32).eval()


def figures(text):
    ids = tokenizer(text)["input_ids"]
    with torch.no_grad():
        vector = model(torch.tensor([ids])).last_hidden_state[0].mean(0)
    vector = vector / vector.norm()
    return {"text": text, "ids": ids, "vector": [round(value, 6) for value in vector.tolist()]}


out = Path(__file__).parent / "figures.json"
out.write_text(json.dumps({"texts": [figures(text) for text in TEXTS]}, separators=(",", ":"), ensure_ascii=False) + "\n")
