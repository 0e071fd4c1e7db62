// Bytes whose top bits are not set, as f32. They stay in place, each too large by a power of 256,
// which the factor corrects.
const BYTE_FACTOR = vec4(1.0, 0x1p-8, 0x1p-16, 0x1p-24);

fn bytes_of(word: u32) -> vec4<f32> {
    return vec4<f32>(vec4<i32>(vec4(word) & vec4(0xffu, 0xff00u, 0xff0000u, 0xff000000u)));
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
