// Signed bytes as f32. Bytes stay in place, each too large by a power of 256, which the factor
// corrects: shifts are slow on adapters that emulate them. The top byte has the right sign. The
// others are made unsigned by flipping their top bits, which adds 128, and the offset corrects
// that. All of it is exact.
const LOW_FACTOR = vec4(1.0, 0x1p-8, 0x1p-16, 0x1p-24);
const HIGH_FACTOR = LOW_FACTOR;
const LOW_OFFSET = vec4(-128.0, -128.0, -128.0, 0.0);
const HIGH_OFFSET = LOW_OFFSET;

fn bytes_of(word: u32) -> vec4<f32> {
    return vec4<f32>(vec4<i32>(vec4(word ^ 0x808080u) & vec4(0xffu, 0xff00u, 0xff0000u, 0xff000000u)));
}

// Of a block, half of it per vector.
fn byte_values(bytes: array<vec4<u32>, 2>) -> Block {
    return Block(
        bytes_of(bytes[0].x),
        bytes_of(bytes[0].y),
        bytes_of(bytes[0].z),
        bytes_of(bytes[0].w),
        bytes_of(bytes[1].x),
        bytes_of(bytes[1].y),
        bytes_of(bytes[1].z),
        bytes_of(bytes[1].w),
    );
}

// The bytes of a word, in order. Each moves to the top of a word; the arithmetic shift back extends
// its sign.
fn signed_quad(word: u32) -> vec4<f32> {
    return vec4<f32>(vec4<i32>(vec4(word) << vec4(24u, 16u, 8u, 0u)) >> vec4(24u));
}
