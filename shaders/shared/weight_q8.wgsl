@group(0) @binding(8) var<storage, read> quants: array<vec4<u32>>; // (rows, cols / 16): 32 signed bytes a block
@group(0) @binding(9) var<storage, read> scales: array<u32>; // (rows, cols / 32): f16 scale, f16 minimum

const BLOCK_QUADS = 8u;

// A value is scale · q + minimum.
fn weight_block(row: u32, block: u32, cols: u32) -> array<vec4<f32>, BLOCK_QUADS> {
    let index = row * (cols / 32u) + block;
    let scale = unpack2x16float(scales[index]);
    let first = quants[2u * index];
    let second = quants[2u * index + 1u];
    return array<vec4<f32>, BLOCK_QUADS>(
        signed_bytes(first.x) * scale.x + scale.y,
        signed_bytes(first.y) * scale.x + scale.y,
        signed_bytes(first.z) * scale.x + scale.y,
        signed_bytes(first.w) * scale.x + scale.y,
        signed_bytes(second.x) * scale.x + scale.y,
        signed_bytes(second.y) * scale.x + scale.y,
        signed_bytes(second.z) * scale.x + scale.y,
        signed_bytes(second.w) * scale.x + scale.y,
    );
}

// Each byte moves to the top, and the arithmetic shift back extends its sign.
fn signed_bytes(word: u32) -> vec4<f32> {
    return vec4<f32>(vec4<i32>(vec4(word) << vec4(24u, 16u, 8u, 0u)) >> vec4(24u));
}
