//! The commands of models of four sizes, as their files in Q4_K_M hold them: half of the layers
//! have v and down projection in Q6_K, and so has the output matrix.

use weft_llm::Result;
use weft_llm::format::layout::Layout;
use weft_llm::ops::{
    Activation, Attention, Embed, Epilogue, Index, Linear, Norm, NormKind, PickRows, Recording, RmsNorm, RopeAppend,
    RopeKind, Sample,
};
use weft_llm::record::{BufferId, KvCache, KvFormat, Matrix, Tensor};

/// Tokens of a decode step, and of a chunk of a prompt.
const ROWS: [usize; 2] = [1, 32];

/// The sizes of a model.
struct Model {
    hidden: usize,
    ffn: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    vocab: usize,
    rope: RopeKind,
    /// Whether q, k and v have biases.
    bias: bool,
    qk_norm: bool,
    /// Whether the embedding table is also the output matrix.
    tied: bool,
}

const MODELS: [Model; 4] = [
    // Qwen3 0.6B
    Model {
        hidden: 1024,
        ffn: 3072,
        heads: 16,
        kv_heads: 8,
        head_dim: 128,
        vocab: 151_936,
        rope: RopeKind::HalfSplit,
        bias: false,
        qk_norm: true,
        tied: true,
    },
    // Qwen2.5 1.5B
    Model {
        hidden: 1536,
        ffn: 8960,
        heads: 12,
        kv_heads: 2,
        head_dim: 128,
        vocab: 151_936,
        rope: RopeKind::HalfSplit,
        bias: true,
        qk_norm: false,
        tied: true,
    },
    // Llama 3.2 3B
    Model {
        hidden: 3072,
        ffn: 8192,
        heads: 24,
        kv_heads: 8,
        head_dim: 128,
        vocab: 128_256,
        rope: RopeKind::Interleaved,
        bias: false,
        qk_norm: false,
        tied: true,
    },
    // Llama 3.1 8B
    Model {
        hidden: 4096,
        ffn: 14_336,
        heads: 32,
        kv_heads: 8,
        head_dim: 128,
        vocab: 128_256,
        rope: RopeKind::Interleaved,
        bias: false,
        qk_norm: false,
        tied: false,
    },
];

/// Of each model, every command that its recordings have.
pub fn recordings() -> Result<Vec<Recording>> {
    let record = |model: &Model| {
        let mut recording = Recording::default();
        ROWS.iter().try_for_each(|&rows| model.record(&mut recording, rows))?;
        Ok(recording)
    };
    MODELS.iter().map(record).collect()
}

/// Gives each buffer a number of its own.
struct Buffers(usize);

impl Buffers {
    fn next(&mut self) -> BufferId {
        self.0 += 1;
        BufferId(self.0)
    }

    fn tensor(&mut self, rows: usize, cols: usize) -> Tensor {
        Tensor { buffer: self.next(), rows, cols }
    }

    fn matrix(&mut self, layout: Layout, rows: usize, cols: usize) -> Matrix {
        Matrix { buffer: self.next(), layout, rows, cols }
    }
}

impl Model {
    /// Records a layer with each mixture of layouts, and what stands before and after the layers.
    fn record(&self, r: &mut Recording, rows: usize) -> Result<()> {
        let &Self { hidden, ffn, heads, kv_heads, head_dim, vocab, .. } = self;
        let mut b = Buffers(0);
        let [x, attn, inner] = [hidden, heads * head_dim, ffn].map(|cols| b.tensor(rows, cols));
        let norm = Some(RmsNorm { weight: b.tensor(1, hidden), eps: 1e-5 });
        let layouts = [Layout::Q4K32, Layout::Q6K16];
        let plain = |x, norm, weight, epilogue, y| Linear { x, norm, weight, affine: None, epilogue, y_offset: 0, y };

        let table = b.matrix(if self.tied { Layout::Q6K16 } else { Layout::Q4K32 }, vocab, hidden);
        r.push(Embed { table, first_row: 0, index: Index::Id, scale: 1.0, y: x })?;
        let kv = KvCache { buffer: b.next(), heads: kv_heads, head_dim, format: KvFormat::F16 };
        let qkv = b.tensor(rows, (heads + 2 * kv_heads) * head_dim);
        layouts.iter().try_for_each(|v| self.record_qkv(r, &mut b, x, norm, *v, kv, qkv))?;
        let scale = (head_dim as f32).sqrt().recip();
        let (cap, alibi, window, causal) = (None, None, None, true);
        r.push(Attention { q: qkv, kv, heads, scale, cap, alibi, window, causal, y: attn })?;
        let o_proj = b.matrix(Layout::Q4K32, hidden, heads * head_dim);
        r.push(plain(attn, None, o_proj, Epilogue::ACCUMULATE, x))?;
        let gate_up_proj = b.matrix(Layout::Q4K32, 2 * ffn, hidden);
        r.push(plain(x, norm, gate_up_proj, Epilogue::Activate(Activation::SWIGLU), inner))?;
        for layout in layouts {
            r.push(plain(inner, None, b.matrix(layout, hidden, ffn), Epilogue::ACCUMULATE, x))?;
        }
        r.push(PickRows { x, y: b.tensor(1, hidden) })?;
        let (lm_head, logits) = (b.matrix(Layout::Q6K16, vocab, hidden), b.tensor(rows, vocab));
        r.push(plain(x, norm, lm_head, Epilogue::Store, logits))?;
        let (chain, maxima, y) = (b.tensor(1, 4), b.tensor(1, Sample::blocks(vocab)), b.tensor(1, 1));
        r.push(Sample { logits: Tensor { rows: 1, ..logits }, chain, maxima, y })
    }

    /// q, k and v: one matrix if `v` has the layout of q and k.
    #[allow(clippy::too_many_arguments)]
    fn record_qkv(
        &self,
        r: &mut Recording,
        b: &mut Buffers,
        x: Tensor,
        norm: Option<RmsNorm>,
        v: Layout,
        kv: KvCache,
        qkv: Tensor,
    ) -> Result<()> {
        let (q, k) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let angles = b.tensor(x.rows, self.head_dim);
        let rope = RopeAppend { qkv, angles, kv, heads: self.heads, kind: self.rope };
        let one = v == Layout::Q4K32;
        let parts =
            if one { vec![(Layout::Q4K32, 0, q + 2 * k)] } else { vec![(Layout::Q4K32, 0, q + k), (v, q + k, k)] };
        let fused = one && !self.qk_norm;
        for (layout, y_offset, rows) in parts {
            let weight = b.matrix(layout, rows, self.hidden);
            let affine = self.bias.then(|| b.tensor(2, rows));
            let epilogue = if fused { Epilogue::RopeAppend(rope) } else { Epilogue::Store };
            r.push(Linear { x, norm, weight, affine, epilogue, y_offset, y: qkv })?;
        }
        if self.qk_norm {
            for (first_col, groups) in [(0, self.heads), (q, self.kv_heads)] {
                let weight = b.tensor(1, groups * self.head_dim);
                let (bias, kind, eps, accumulate) = (None, NormKind::Rms, 1e-6, false);
                r.push(Norm { x: qkv, first_col, groups, weight, bias, kind, eps, accumulate, y: qkv })?;
            }
        }
        if fused { Ok(()) } else { r.push(rope) }
    }
}
